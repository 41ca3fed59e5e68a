"""What client and worker say to each other, as bytes: one safetensors buffer a message.

8 bytes, little-endian: the length of the header. The header: JSON, a name for each array -> dtype, shape, place; and
"__metadata__" with the message's kind, id and fields as JSON under "lvsm". Then the arrays, without gaps. A message
tells its own length, holds nothing executable, and is checked before memory is taken for it. numpy and the standard
library only: Blender's Python reads it.
"""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np

from ..errors import KINDS, REMEDIES, RESTART_ENGINE, CaptureError, LvsmError, WorkerError
from ..progress import Progress
from ..scene.camera import Camera, Distortion, View
from ..scene.subject import Subject

PROTOCOL_VERSION = 1

# A thousand views are half a megabyte of header.
MAX_HEADER_BYTES = 8 * 2**20
# Two hundred frames of full HD in float32.
MAX_BODY_BYTES = 5 * 2**30
# Nothing here has more axes than (B, V, C, H, W); numpy allows 32.
MAX_DIMENSIONS = 8
# What is taken at a time while a body arrives: a claim alone allocates no more than this.
CHUNK_BYTES = 2**20

DTYPES: dict[str, np.dtype] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "U8": np.dtype("u1")}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """kind: what it is about. id: of the request it belongs to. fields: JSON. arrays: by name, float32, float64, uint8."""

    kind: str
    id: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def encode(message: Message) -> list[bytes | memoryview]:
    """The message's bytes, in parts to be written one after the other (arrays are not copied)."""
    text = json.dumps({"kind": message.kind, "id": message.id, "fields": message.fields})
    header: dict[str, Any] = {"__metadata__": {"lvsm": text}}
    bodies: list[bytes | memoryview] = []
    offset = 0
    for name, array in message.arrays.items():
        array = np.ascontiguousarray(array)
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
        bodies.append(array.reshape(-1).view(np.uint8).data)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    return [struct.pack("<Q", len(encoded)), encoded, *bodies]


def write(stream: BinaryIO, message: Message) -> None:
    """Write a message and flush. Raises OSError when the other end is gone."""
    for part in encode(message):
        stream.write(part)
    stream.flush()


def read(stream: BinaryIO) -> Message | None:
    """The next message, or None at the stream's end. Raises WorkerError for bytes that are no message."""
    length_bytes = _read_exactly(stream, 8, may_end=True)
    if not length_bytes:
        return None
    (header_length,) = struct.unpack("<Q", length_bytes)
    if not 2 <= header_length <= MAX_HEADER_BYTES:
        raise refusal(f"a header of {header_length} bytes")
    try:
        header = json.loads(bytes(_read_exactly(stream, header_length)))
        envelope = json.loads(header.pop("__metadata__")["lvsm"])
        kind, number, fields = envelope["kind"], envelope["id"], envelope["fields"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refusal(f"a header that cannot be read ({type(error).__name__})") from error
    if not (isinstance(kind, str) and type(number) is int and isinstance(fields, dict)):
        raise refusal("an envelope of the wrong types")
    places = _check_places(header)
    body = _read_exactly(stream, places[-1].end if places else 0)
    arrays = {
        place.name: np.frombuffer(body, place.dtype, place.count, place.begin).reshape(place.shape) for place in places
    }
    return Message(kind, number, fields, arrays)


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def _check_places(header: dict) -> list[_Place]:
    """Where the arrays lie in the body: one after the other, from its first byte, without gaps."""
    places, offset = [], 0
    for name, entry in header.items():
        try:
            dtype, shape, (begin, end) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        except (KeyError, TypeError, ValueError) as error:
            raise refusal(f"an array '{name[:40]}' without a known type, a shape and a place") from error
        sizes_are_possible = all(type(size) is int and 0 <= size <= MAX_BODY_BYTES for size in (*shape, begin, end))
        # numpy multiplies the sizes that are not 0, even where another is 0.
        extent = math.prod(size for size in shape if size) if sizes_are_possible else math.inf
        if extent * dtype.itemsize > MAX_BODY_BYTES or len(shape) > MAX_DIMENSIONS:
            raise refusal(f"an array '{name[:40]}' of an impossible size")
        place = _Place(name, dtype, shape, begin, end)
        if begin != offset or end - begin != place.count * dtype.itemsize or end > MAX_BODY_BYTES:
            raise refusal(f"an array '{name[:40]}' that does not fill its place")
        offset = end
        places.append(place)
    return places


def _read_exactly(stream: BinaryIO, size: int, may_end: bool = False) -> bytearray:
    """`size` bytes; at the stream's end none, if it may end here. Raises WorkerError where it ends in between."""
    received = bytearray()
    while len(received) < size:
        chunk = stream.read(min(size - len(received), CHUNK_BYTES))
        if not chunk:
            if may_end and not received:
                return received
            raise refusal(f"an end after {len(received)} of {size} bytes")
        received += chunk
    return received


def refusal(what: str) -> WorkerError:
    """For something that no engine of this version says."""
    sentence = f"The engine's process and Blender do not understand each other: {what}. Restart the engine."
    return WorkerError(sentence, RESTART_ENGINE)


# --- What the fields hold ---------------------------------------------------------------------------------------------


def camera_to_fields(camera: Camera) -> dict[str, Any]:
    """A camera as JSON; float64 survives exactly."""
    return {
        "camera_to_world": camera.camera_to_world.tolist(),
        "fxfycxcy": camera.fxfycxcy.tolist(),
        "size": [camera.width, camera.height],
    }


def camera_from_fields(fields: dict[str, Any]) -> Camera:
    """The camera of camera_to_fields. Raises CameraError."""
    return Camera(np.array(fields["camera_to_world"], dtype=np.float64), *fields["fxfycxcy"], *fields["size"])


def subject_from_fields(fields: dict[str, Any] | None) -> Subject | None:
    """The subject whose asdict these are. Raises CameraError."""
    return None if fields is None else Subject(tuple(fields["centre"]), fields["half_side"])


def views_to_fields(views: Sequence[View]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Views as JSON and arrays: photos that are files go by path, others by their bytes or pixels.

    Raises CaptureError for an array that is not uint8.
    """
    listed: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, view in enumerate(views):
        entry: dict[str, Any] = {"name": view.name, "camera": camera_to_fields(view.camera)}
        entry["distortion"] = None if view.distortion is None else asdict(view.distortion)
        for key, picture in (("photo", view.photo), ("mask", view.mask)):
            if isinstance(picture, np.ndarray):
                if picture.dtype != np.uint8:
                    raise CaptureError(f"{view.name}: the {key} is an array of {picture.dtype}: give uint8.")
                entry[key] = {"array": f"{key}_{number}"}
                arrays[f"{key}_{number}"] = picture
            else:
                entry[key] = None if picture is None else {"path": str(Path(picture).absolute())}
        listed.append(entry)
    return listed, arrays


def views_from_fields(listed: Sequence[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[View]:
    """The views of views_to_fields."""

    def picture(entry: dict[str, str] | None) -> Path | np.ndarray | None:
        if entry is None:
            return None
        return arrays[entry["array"]] if "array" in entry else Path(entry["path"])

    views = []
    for entry in listed:
        lens = entry["distortion"]
        distortion = None if lens is None else Distortion(lens["kind"], tuple(lens["coefficients"]))
        camera = camera_from_fields(entry["camera"])
        views.append(View(camera, picture(entry["photo"]), entry["name"], picture(entry["mask"]), distortion))
    return views


def error_to_fields(error: LvsmError) -> dict[str, str]:
    """A typed error as JSON: its kind, its sentence, its remedy."""
    return {"kind": type(error).__name__, "sentence": str(error), "remedy": error.remedy}


def error_from_fields(fields: dict[str, Any]) -> LvsmError:
    """The error of error_to_fields; an unknown kind is a WorkerError. Raises WorkerError for what is no error."""
    kind, sentence, remedy = (fields.get(name, "") for name in ("kind", "sentence", "remedy"))
    if not all(isinstance(text, str) for text in (kind, sentence, remedy)):
        raise refusal("an error that is not told in words")
    return KINDS.get(kind, WorkerError)(sentence, remedy if remedy in REMEDIES else "")


def progress_to_fields(progress: Progress) -> dict[str, Any]:
    """Progress as JSON."""
    return asdict(progress)


def progress_from_fields(fields: dict[str, Any]) -> Progress:
    """The progress of progress_to_fields. Raises WorkerError for what is none."""
    fraction, stage, seconds_left = (fields.get(name) for name in ("fraction", "stage", "seconds_left"))
    if not (is_number(fraction) and 0 <= fraction <= 1 and isinstance(stage, str)):
        raise refusal("a progress without a fraction and a stage")
    if seconds_left is not None and not is_number(seconds_left):
        raise refusal("a progress whose time left is no number")
    return Progress(fraction, stage, seconds_left)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether what JSON held is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)
