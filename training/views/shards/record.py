"""A record: one object's views and whose the object is, as one safetensors buffer.

Each view is a WebP under "image.0000" and so on, (N,) uint8, lossless unless a quality is given, so that only the views
that are asked for are decoded; camera_to_world is (V, 4, 4) and fxfycxcy (V, 4), float64; the metadata's "about" is JSON:
name, size and whose the object is (ORIGIN_FIELDS). Nothing in it can be executed; the same scene gives the same bytes. Knows
nothing of files.

Lossless WebP takes 60 to 71 % of a PNG's bytes and half of its time to decode (benchmarks/loader_throughput.md). At quality
75 a view of 256 px takes 2.2 kB and is 43 dB from its original (200 views of 25 objects, November 2026); alpha stays exact.
"""

import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import safetensors.numpy
from PIL import Image
from safetensors import SafetensorError

from ...objects.manifest import Origin
from ..stored import StoredScene

# The quickest of WebP's efforts that beats a PNG's size; the next takes 1.4 times as long for 2 to 5 % less.
WEBP_METHOD, WEBP_EFFORT = 1, 20


ORIGIN_FIELDS = ("licence", "author", "address", "sha256", "split")
"""What a record keeps of an Origin, besides the name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a record says without a view being decoded. size: pixels a side."""

    name: str
    views: int
    size: int
    origin: Origin


def encode_record(scene: StoredScene, origin: Origin, pool: ThreadPoolExecutor, quality: int | None = None) -> bytes:
    """The scene as bytes. Colours under clear pixels are dropped: they have no say in any picture.

    quality: of lossy WebP, 0 to 100; None: lossless.
    """
    pictures = pool.map(lambda image: _encode_image(image, quality), scene.images)
    tensors = {_image_key(view): np.frombuffer(picture, np.uint8) for view, picture in enumerate(pictures)}
    tensors["camera_to_world"] = np.ascontiguousarray(scene.camera_to_world, dtype=np.float64)
    tensors["fxfycxcy"] = np.ascontiguousarray(scene.fxfycxcy, dtype=np.float64)
    about = {"name": scene.name, "size": scene.images.shape[-2], **{key: getattr(origin, key) for key in ORIGIN_FIELDS}}
    # One text: safetensors writes several in any order.
    return safetensors.numpy.save(tensors, metadata={"about": json.dumps(about)})


def decode_record(record: bytes, views: Sequence[int] | np.ndarray | None = None) -> StoredScene:
    """The scene of a record, or these of its views, in this order; only they are decoded.

    Raises ValueError for bytes that are no record.
    """
    header = decode_header(record)
    chosen = np.arange(header.views) if views is None else np.asarray(views)
    try:
        tensors = safetensors.numpy.load(record)
        images = np.stack([_decode_image(tensors[_image_key(int(view))]) for view in chosen])
        return StoredScene(header.name, images, tensors["camera_to_world"][chosen], tensors["fxfycxcy"][chosen])
    except (SafetensorError, KeyError, IndexError, cv2.error) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def decode_header(record: bytes) -> Header:
    """Raises ValueError for bytes that are no record."""
    length = int.from_bytes(record[:8], "little")
    try:
        tensors: dict[str, Any] = json.loads(record[8 : 8 + length])
        about = json.loads(tensors.pop("__metadata__")["about"])
        origin = Origin(name=about["name"], **{key: about[key] for key in ORIGIN_FIELDS})
        views = sum(key.startswith("image.") for key in tensors)
        return Header(about["name"], views, int(about["size"]), origin)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"its header cannot be read ({type(error).__name__}: {error})") from error


def _image_key(view: int) -> str:
    return f"image.{view:04d}"


def _encode_image(image: np.ndarray, quality: int | None) -> bytes:
    """(S, S, 3 or 4) uint8 -> WebP."""
    if image.shape[-1] == 4:
        image = np.where(image[..., 3:] == 0, np.uint8(0), image)
    buffer = io.BytesIO()
    if quality is None:
        Image.fromarray(image).save(buffer, "WEBP", lossless=True, exact=True, method=WEBP_METHOD, quality=WEBP_EFFORT)
    else:
        Image.fromarray(image).save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()


def _decode_image(encoded: np.ndarray) -> np.ndarray:
    """Bytes (N,) uint8 -> (S, S, 3 or 4) uint8. Raises ValueError."""
    image = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3:
        raise ValueError("a view is no picture")
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[-1] == 4 else cv2.COLOR_BGR2RGB)
