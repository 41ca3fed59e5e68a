"""Solve Cameras: where plain photos were taken from, by COLMAP's structure from motion (Schoenberger and Frahm, CVPR 2016).

    solved = solve_cameras(folder, on_progress, cancel)      # then load_capture(solved.model)

What it writes is an ordinary COLMAP model beside the photos, upright, around its subject, and of a size that suits Blender.
COLMAP gets shrunk copies, so that it need read no format that only we read; the lenses that it finds are those of the photos.
"""

import collections
import itertools
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import ExifTags, Image

from .errors import INSTALL_PACKAGES, Cancelled, CaptureError, LvsmError, OutputError
from .main_memory import free_main_memory
from .photos.image_files import decode_file
from .progress import Cancel, OnProgress, Tracker
from .scene.captures.photo_files import PHOTO_FOLDERS
from .scene.picture_formats import ENDINGS, ORIENTATION, Unreadable, open_picture, picture_size, why
from .scene.subject import subject_similarity
from .whole_files import PART, check_folder

if TYPE_CHECKING:
    import pycolmap

MODEL_FOLDER = "sparse"
ENDINGS_OF_PHOTOS = {ending for endings in ENDINGS.values() for ending in endings}
MIN_PHOTOS = 3
# Features of larger photos are no more exact; a copy's shorter side has at least twice the second, if the photo has.
MAX_SIDE, COPY_SIDE = 2000, 750
QUALITY = 95
# What tells lenses apart, and one zoom from another.
EXIF_OF_CAMERA = (ExifTags.Base.Make, ExifTags.Base.Model)
EXIF_OF_LENS = (ExifTags.Base.LensModel, ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm)
# One focal length and one coefficient a lens: more are not determined by few photos.
LENS = "SIMPLE_RADIAL"
# All pairs of so many photos are compared; of more, each with the next ones by name, and with ever fewer further on.
MAX_PHOTOS_IN_PAIRS = 150
NEXT_PHOTOS = 20
# Where fewer than this share of the photos finds its place, they are tried again with fewer matches asked of each; a lenient
# model is taken where it has as many.
ENOUGH = 0.75
# A model of fewer is as often wrong as right.
MIN_SHARE = 1 / 3
# Photos that share so many points are tied to each other.
MIN_COMMON_POINTS = 45
LENIENT = {"abs_pose_min_num_inliers": 12, "abs_pose_min_inlier_ratio": 0.1, "abs_pose_max_error": 16.0}
# In Blender's units: about what the camera of a new file has.
DISTANCE = 10.0
POLL_SECONDS = 0.05
SHOWN_NAMES = 5

# Of which there is news.
PHOTOS_AT_ONCE, PAIRS_AT_ONCE = 8, 100

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Solved:
    """model: the folder of the COLMAP model. placed: the names of its photos. warnings: which were not placed, and why."""

    model: Path
    placed: tuple[str, ...]
    warnings: tuple[str, ...]


def solve_cameras(folder: Path, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Solved:
    """Solve the photos of a folder, or of its folder "images", and write FOLDER/sparse/0, whole or not at all.

    Raises CaptureError where there are too few photos, they have a model already, or none can be placed; OutputError;
    Cancelled.
    """
    colmap = _colmap()
    photos = photos_of(folder)
    out = folder / MODEL_FOLDER
    if out.exists():
        raise CaptureError(f"{folder} has solved cameras already: import {out}, or remove it to solve them again.")
    check_folder(out)
    if len(photos) < MIN_PHOTOS:
        raise CaptureError(f"{folder} holds {len(photos)} photos: choose a folder with at least {MIN_PHOTOS}.")
    with tempfile.TemporaryDirectory(prefix="lvsm_solve_") as scratch:
        solving = _Solving(colmap, Path(scratch), on_progress, cancel)
        copies, unreadable = solving.copy(photos)
        solving.find_features(list(copies))
        solving.match(list(copies))
        models = solving.place(len(copies))
        model = max(models, key=lambda found: found.num_reg_images(), default=None)
        placed = 0 if model is None else _drop_what_hangs_on_a_thread(model)
        if model is None or placed < MIN_SHARE * len(photos):
            raise CaptureError(
                f"{f'Only {placed}' if placed else 'None'} of the {len(photos)} photos of {folder} could be placed, since too"
                " few show the same things: take more, sharp ones, each overlapping the last by two thirds, of a thing that has"
                " texture and stands still."
            )
        names = _restore(model, copies)
        _make_upright(colmap, model)
        _write(model, out)
    return Solved(out / "0", tuple(sorted(names)), _warnings(photos, names, unreadable, len(models)))


def photos_of(folder: Path) -> list[Path]:
    """The files of a folder that are called as photos are, by name; where it has none, those of a usual one within it."""
    for place in (folder, *(folder / below for below in PHOTO_FOLDERS)):
        try:
            files = sorted(place.iterdir()) if place.is_dir() else []
        except OSError as error:
            raise CaptureError(f"{place} cannot be read ({error.strerror}): choose another folder.") from error
        photos = [file for file in files if file.suffix.lower() in ENDINGS_OF_PHOTOS and file.is_file()]
        if photos:
            return photos
    return []


def _colmap() -> Any:
    try:
        import pycolmap
    except ImportError as error:
        raise CaptureError(
            f"Solving cameras needs COLMAP ({error}): install the package pycolmap into the engine's Python.",
            INSTALL_PACKAGES,
        ) from error
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value  # what it fails at is told here, in a sentence
    return pycolmap


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """Of a photo, for COLMAP. size: the photo's; step: how many of its pixels are one of the copy's; exif: what it says of its
    lens; lens: equal for photos of one lens, for all that is known."""

    photo: Path
    size: tuple[int, int]
    step: int
    exif: Image.Exif
    lens: tuple


class _Solving:
    """The stages of one solution, in a folder of its own. Each raises Cancelled."""

    def __init__(self, colmap: Any, scratch: Path, on_progress: OnProgress | None, cancel: Cancel | None) -> None:
        self._colmap, self._on_progress, self._cancel = colmap, on_progress, cancel
        self._scratch, self._database = scratch, scratch / "database.db"
        self._images, self._models = scratch / "images", scratch / "models"
        self._images.mkdir()
        self._models.mkdir()

    def copy(self, photos: Sequence[Path]) -> tuple[dict[str, _Copy], list[str]]:
        """Copies by their names, and sentences about photos that cannot be read."""
        tracker = self._tracker("Reading photos", len(photos))
        copies, lenses, unreadable = {}, [], []
        for number, photo in enumerate(photos):
            try:
                copy, picture = _read(photo)
            except LvsmError as error:
                unreadable.append(str(error))
            else:
                lenses += [] if copy.lens in lenses else [copy.lens]
                name = f"{lenses.index(copy.lens)}/{number:06}.jpg"  # the photos of a folder share a lens
                (self._images / name).parent.mkdir(exist_ok=True)
                picture.save(self._images / name, quality=QUALITY, exif=copy.exif)
                copies[name] = copy
            tracker.step()
        return copies, unreadable

    def find_features(self, names: Sequence[str]) -> None:
        colmap = self._colmap
        reader, extraction = colmap.ImageReaderOptions(), colmap.FeatureExtractionOptions()
        reader.camera_model, extraction.max_image_size = LENS, MAX_SIDE
        # All photos at once, as they share cameras; features then a few at a time, to be told of.
        colmap.Database.open(self._database).close()
        per_lens = colmap.CameraMode.PER_FOLDER
        colmap.import_images(self._database, self._images, per_lens, image_names=names, options=reader)
        tracker = self._tracker("Finding features", len(names))
        for some in _few_at_a_time(names, PHOTOS_AT_ONCE):
            self._run(
                tracker,
                colmap.extract_features,
                image_names=some,
                image_path=self._images,
                camera_mode=per_lens,
                reader_options=reader,
                extraction_options=extraction,
            )
            tracker.step(len(some))

    def match(self, names: Sequence[str]) -> None:
        pairs = pairs_of(names)
        tracker = self._tracker("Comparing photos", len(pairs))
        options = self._colmap.ImportedPairingOptions()
        options.match_list_path = self._scratch / "pairs.txt"
        for some in _few_at_a_time(pairs, PAIRS_AT_ONCE):
            options.match_list_path.write_text("\n".join(map(" ".join, some)))
            self._run(tracker, self._colmap.match_image_pairs, pairing_options=options)
            tracker.step(len(some))

    def place(self, photos: int) -> list["pycolmap.Reconstruction"]:
        """The models that COLMAP finds, each of photos that share enough."""
        models = self._mapped(photos, {})
        if _photos_of_the_largest(models) >= ENOUGH * photos:
            return models
        others = self._mapped(photos, LENIENT)
        return others if _photos_of_the_largest(others) >= ENOUGH * photos else models

    def _mapped(self, photos: int, mapper: dict[str, float]) -> list["pycolmap.Reconstruction"]:
        options = self._colmap.IncrementalPipelineOptions()
        options.extract_colors = False
        for name, value in mapper.items():
            setattr(options.mapper, name, value)
        tracker = self._tracker("Placing photos", photos)

        def count() -> None:
            with suppress(Cancelled):  # which is not for COLMAP to hear: its token says so
                tracker.step()

        found = self._run(
            tracker,
            self._colmap.incremental_mapping,
            image_path=self._images,
            output_path=self._models,
            options=options,
            next_image_callback=count,
        )
        return list(found.values())

    def _tracker(self, stage: str, steps: int) -> Tracker:
        return Tracker(stage, steps, self._on_progress, self._cancel)

    def _run(self, tracker: Tracker, work: Callable[..., Result], **options: Any) -> Result:
        """Some work of COLMAP's, on a thread of its own, while this one looks whether it is still wanted."""
        token = self._colmap.CancellationToken()
        with ThreadPoolExecutor(1, "lvsm_solve") as threads:
            future = threads.submit(work, self._database, cancellation_token=token, **options)
            try:
                while wait([future], POLL_SECONDS).not_done:
                    tracker.check()
            except BaseException:
                token.cancel()
                raise
            return future.result()


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of photos that are compared: all of few; of many, each with the next ones, and with ever fewer further on."""
    count = len(names)
    if count <= MAX_PHOTOS_IN_PAIRS:
        return list(itertools.combinations(names, 2))
    steps = [*range(1, NEXT_PHOTOS + 1), *(2**power for power in range(NEXT_PHOTOS.bit_length(), count.bit_length()))]
    return [(names[first], names[first + step]) for first in range(count) for step in steps if first + step < count]


def _few_at_a_time(items: Sequence[Item], count: int) -> Iterator[Sequence[Item]]:
    return (items[first : first + count] for first in range(0, len(items), count))


def _photos_of_the_largest(models: Sequence["pycolmap.Reconstruction"]) -> int:
    return max((model.num_reg_images() for model in models), default=0)


def _read(photo: Path) -> tuple[_Copy, Image.Image]:
    """A photo's copy, and its picture as it is stored. Raises CaptureError, DeviceError."""
    try:
        width, height = picture_size(photo)
        with open_picture(photo) as file:
            exif = file.getexif()
    except (Unreadable, OSError) as error:
        raise CaptureError(f"{photo} cannot be read ({why(error, 'photo')}).") from error
    exif.pop(ORIENTATION, None)
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    known = (*(exif.get(tag) for tag in EXIF_OF_CAMERA), *(shot.get(tag) for tag in EXIF_OF_LENS))
    decoded = decode_file(photo, "the photo", width > height, COPY_SIDE, free_main_memory())
    copy = _Copy(photo, decoded.size, decoded.step, exif, (decoded.size, *map(str, known)))
    return copy, Image.fromarray(decoded.pixels[..., :3])


def _drop_what_hangs_on_a_thread(model: "pycolmap.Reconstruction") -> int:
    """Leave the photos that are tied to each other. Returns how many these are."""
    tracks = [{element.image_id for element in point.track.elements} for point in model.points3D.values()]
    kept = tied_photos(model.reg_image_ids(), tracks)
    for image_id in set(model.reg_image_ids()) - kept:
        model.deregister_frame(model.images[image_id].frame_id)
    return len(kept)


def tied_photos(photos: Iterable[int], tracks: Iterable[set[int]]) -> set[int]:
    """The largest set of photos that hang together by MIN_COMMON_POINTS: a step of fewer is often a wrong one.

    tracks: for each point the photos that see it.
    """
    common = collections.Counter(pair for track in tracks for pair in itertools.combinations(sorted(track), 2))
    sets = {photo: {photo} for photo in photos}
    for (first, second), count in common.items():
        if count >= MIN_COMMON_POINTS and sets[first] is not sets[second]:
            sets[first] |= sets[second]
            sets.update(dict.fromkeys(sets[second], sets[first]))
    return max(sets.values(), key=len)


def _restore(model: "pycolmap.Reconstruction", copies: dict[str, _Copy]) -> list[str]:
    """Give a model the photos' own names and the lenses of their own sizes. Returns the names of those it has placed."""
    sizes: dict[int, _Copy] = {}
    for image in model.images.values():
        copy = copies[image.name]
        sizes[image.camera_id], image.name = copy, copy.photo.name
    for camera_id, copy in sizes.items():
        camera = model.cameras[camera_id]
        focal_length, cx, cy, distortion = camera.params
        camera.width, camera.height = copy.size
        camera.params = [focal_length * copy.step, cx * copy.step, cy * copy.step, distortion]
    return [model.images[image_id].name for image_id in model.reg_image_ids()]


def _make_upright(colmap: Any, model: "pycolmap.Reconstruction") -> None:
    """Turn, move and scale a model: z is up, the subject at the origin, the cameras DISTANCE away."""
    poses = np.tile(np.eye(4), (model.num_reg_images(), 1, 1))
    poses[:, :3] = [model.images[image_id].cam_from_world().inverse().matrix() for image_id in model.reg_image_ids()]
    model.transform(colmap.Sim3d(subject_similarity(poses, DISTANCE)[:3]))


def _write(model: "pycolmap.Reconstruction", out: Path) -> None:
    """The model as the folder out/0, whole or not at all. Raises OutputError."""
    part = out.with_name(f"{out.name}.{secrets.token_hex(8)}{PART}")
    try:
        (part / "0").mkdir(parents=True)
        model.write_binary(part / "0")
        part.rename(out)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{out} cannot be written ({error}): free space or choose another folder.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _warnings(photos: Sequence[Path], placed: Sequence[str], unreadable: Sequence[str], models: int) -> tuple[str, ...]:
    left = sorted({photo.name for photo in photos} - set(placed))
    warnings = list(unreadable)
    if left:
        names = ", ".join(left[:SHOWN_NAMES]) + (
            f" and {len(left) - SHOWN_NAMES} more" if len(left) > SHOWN_NAMES else ""
        )
        warnings.append(f"{len(placed)} of {len(photos)} photos were placed, and not {names}.")
    if models > 1:
        warnings.append(
            f"The photos fall into {models} groups that share too little: the largest was taken. Photos from between them"
            " would join them."
        )
    return tuple(warnings)
