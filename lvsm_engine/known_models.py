"""The models that are known by name: where they are, whose licence they have, what they are made for; and where fetched ones lie.

A table of values. The standard library only, so Blender's own Python can import it; fetching is model_fetching.py's.
"""

import json
import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from .errors import CHOOSE_MODEL, GET_MODEL, CheckpointError
from .user_folder import user_folder

DEFAULT = "default"
FOLDER_VARIABLE = "LVSM_MODELS"
RECORD = ".json"
"""What the name of a fetched model's record ends with, beside its file."""

OBJECT, SCENE = "object", "scene"
LVSM, LACT, OURS = "LVSM", "LaCT", "ours"

LVSM_LICENCE = (
    "CC BY-NC-SA 4.0 by its repository: not for commercial use, share alike. The model card says MIT; the two disagree, so"
    " take the stricter one"
)
LACT_OBJECTS_LICENCE = (
    "MIT by its repository; trained on Objaverse, whose objects have mixed licences, some not for commercial use"
)
LACT_SCENES_LICENCE = (
    "MIT by its repository; trained on DL3DV, a data set that others list as not for commercial use (not verified)"
)
OUR_LICENCE = "GPL-3.0-or-later"


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownModel:
    """A row of the table.

    name: what --model and the panel take. family: LVSM, LACT or OURS. repository: on the hub; empty for what comes with the
    engine. architecture: as ModelConfig's. level: OBJECT or SCENE. height, width: of the pictures it was trained on. photos: the
    fewest and most in training. megabytes: about. licence: one honest sentence, without a full stop. is_commercial: whether
    its use is free for commercial ends beyond doubt. unverified: which of these facts nobody has checked against the source.
    """

    name: str
    family: str
    repository: str
    file: str
    architecture: str
    level: str
    height: int
    width: int
    photos: tuple[int, int]
    megabytes: int
    licence: str
    good_at: str
    is_commercial: bool = False
    unverified: tuple[str, ...] = ()

    @property
    def is_bundled(self) -> bool:
        return not self.repository

    @property
    def resolution(self) -> int:
        """As its card tells it: the side of a square with as many pixels."""
        return round(math.sqrt(self.height * self.width))

    @property
    def page(self) -> str:
        """Where a person reads more; empty for what comes with the engine."""
        return f"https://huggingface.co/{self.repository}" if self.repository else ""

    @property
    def size_label(self) -> str:
        """ "about 1.2 GB (not verified)"."""
        size = f"{self.megabytes / 1000:.1f} GB" if self.megabytes >= 1000 else f"{self.megabytes} MB"
        return f"about {size} (not verified)" if "size" in self.unverified else size

    @property
    def needs(self) -> str:
        """What it is to be given, in words without a full stop."""
        fewest, most = self.photos
        photos = f"{most} photos" if fewest == most else f"{fewest} to {most} photos"
        cut_out = ", cut out on white (alpha or masks)" if self.family == LACT and self.level == OBJECT else ""
        return f"Made for {self.level}s: {photos}{cut_out}, pictures of {self.width} x {self.height} px"


def _lvsm(architecture: str, side: int, file: str) -> KnownModel:
    kind = architecture.replace("_", "-")
    quality = (
        "best, slow for many views" if architecture == "decoder_only" else "faster for many views, a little softer"
    )
    return KnownModel(
        name=f"lvsm-{kind}-{side}",
        family=LVSM,
        repository="coast01/LVSM",
        file=file,
        architecture=architecture,
        level=SCENE,
        height=side,
        width=side,
        photos=(2, 2),
        megabytes=2000,
        licence=LVSM_LICENCE,
        good_at=f"rooms between two photos (RealEstate10K): {quality}",
        unverified=("size",),
    )


def _lact_objects(side: int) -> KnownModel:
    return KnownModel(
        name=f"lact-objects-{side}",
        family=LACT,
        repository="airsplay/lact_nvs",
        file=f"obj_res{side}.pt",
        architecture="fast_weights",
        level=OBJECT,
        height=side,
        width=side,
        photos=(8, 20),
        megabytes=1249,
        licence=LACT_OBJECTS_LICENCE,
        good_at="single objects on white, from all around",
        unverified=("size",),
    )


def _lact_scenes(height: int, width: int) -> KnownModel:
    photos, megabytes = (32, 1249) if height == width else (64, 1589)
    return KnownModel(
        name=f"lact-scenes-{width}x{height}",
        family=LACT,
        repository="airsplay/lact_nvs",
        file=f"scene_res{height}x{width}.pt",
        architecture="fast_weights",
        level=SCENE,
        height=height,
        width=width,
        photos=(photos, photos),
        megabytes=megabytes,
        licence=LACT_SCENES_LICENCE,
        good_at="places and things in them, from many photos (DL3DV)",
        unverified=("size",),
    )


BUNDLED = KnownModel(
    name=DEFAULT,
    family=OURS,
    repository="",
    file="default.safetensors",
    architecture="decoder_only",
    level=OBJECT,
    height=128,
    width=128,
    photos=(1, 8),
    megabytes=12,
    licence=OUR_LICENCE,
    good_at="single objects, as places, outlines and colours that photos sharpen",
    is_commercial=True,  # all that it was trained on is so: weights/default.md
)

# Names of files as both projects' README list them (read November 2026; LaCT's scenes at its commit 1f84d479). Sizes are
# reckoned, from the shapes or from what such a training writes; the pages of the files could not be read.
KNOWN_MODELS = (
    BUNDLED,
    _lvsm("decoder_only", 256, "scene_decoder_only_256.pt"),
    _lvsm("encoder_decoder", 256, "scene_encoder_decoder_256.pt"),
    _lvsm("decoder_only", 512, "lvsm_scene_decoder_only_res512.pt"),
    _lvsm("encoder_decoder", 512, "lvsm_scene_encoder_decoder_res512.pt"),
    *(_lact_objects(side) for side in (256, 512, 1024)),
    *(_lact_scenes(side, side) for side in (128, 256, 512)),
    *(_lact_scenes(height, width) for height, width in ((72, 128), (144, 256), (288, 512), (536, 960))),
)
_BY_NAME = {model.name: model for model in KNOWN_MODELS}
_BY_FILE = {model.file: model for model in KNOWN_MODELS}


def known_model(name: str) -> KnownModel:
    """The model of this name. Raises CheckpointError."""
    if name not in _BY_NAME:
        raise CheckpointError(
            f"No model is known by the name {name}: choose one of {', '.join(_BY_NAME)}.", CHOOSE_MODEL
        )
    return _BY_NAME[name]


def is_known(name: str) -> bool:
    """Whether this is a model's name, and no path of a file."""
    return name in _BY_NAME


def model_called(model: str) -> KnownModel | None:
    """The known model that a name or a path means: a file's own name tells it, in whatever folder it lies."""
    return _BY_NAME.get(model) or _BY_FILE.get(model.replace("\\", "/").rpartition("/")[2])


def models_folder() -> Path:
    """Where fetched models are kept, for all programs of this user: the environment's LVSM_MODELS, or beside the engine's."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    return Path(user_folder(platform.system(), os.environ, str(Path.home()))) / "models"


def fetched_path(model: KnownModel) -> Path:
    """Where the model's file is once it has been fetched."""
    return models_folder() / model.file


def is_there(model: KnownModel) -> bool:
    """Whether the model can be used at once."""
    return model.is_bundled or fetched_path(model).is_file()


def find_fetched(name: str) -> Path:
    """The file of a model that was fetched by this name. Raises CheckpointError."""
    path = fetched_path(known_model(name))
    if not path.is_file():
        raise CheckpointError(
            f"The model {name} has not been fetched: press Get Model in Blender, or run 'lvsm models get {name}'.",
            GET_MODEL,
        )
    return path


def recorded_sha256(path: Path) -> str:
    """What was found of a fetched file's content when it came; empty where nothing was written down, or for another file."""
    try:
        record = json.loads(path.with_name(path.name + RECORD).read_text(encoding="utf-8"))
        is_of_file = record["bytes"] == path.stat().st_size
        return str(record["sha256"]) if is_of_file else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
