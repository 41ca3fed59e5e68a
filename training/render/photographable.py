"""What Blender gets of an object: its default scene, at rest, once all that it tells of is there.

Blender dies of numbers that point outside of their file, fills memory with what a few bytes claim, and plays animations while
it renders: all of this is looked after before it sees the file, so that a reason is told, and nothing is tried in vain.
"""

import base64
import io
from typing import Any

import numpy as np

from lvsm_engine.scene.picture_formats import Unreadable, picture_size

from .glb_file import GlbError, GlbFile
from .rejection import RejectedError

# glTF 2.0 specification, 3.6.2.2: bytes of a component, and components of an element.
COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
ELEMENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
# Zeros that a file may claim without holding them; pixels of all its pictures, a gigabyte once they are decoded.
MAX_CLAIMED, MAX_PIXELS = 10_000_000, 2**28
# Blender walks down the nodes by recursion.
MAX_DEPTH = 300
DATA_URI = "data:"


def photographable(content: bytes) -> bytes:
    """The GLB file of an object's default scene at rest, without cameras. Raises RejectedError for one that is not whole."""
    try:
        file = GlbFile.from_bytes(content)
    except GlbError as error:
        raise RejectedError(f"it is no GLB file ({error})") from error
    try:
        roots = _roots(file.description)
        shown = _nodes_below(roots, file.description.get("nodes", []))
        _check_buffers(file)
        for number in range(len(file.description.get("accessors", []))):
            _check_numbers(file, number)
        _check_indices(file)
        _check_pictures(file)
        return GlbFile(_at_rest(file.description, roots, shown), file.binary).to_bytes()
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise RejectedError(f"its description does not fit together ({type(error).__name__}: {error})") from error


def _roots(description: dict[str, Any]) -> list[int]:
    """The nodes that the default scene begins with; without scenes, all that have no parent."""
    if scenes := description.get("scenes"):
        return scenes[description.get("scene", 0)].get("nodes", [])
    nodes = description.get("nodes", [])
    return sorted(set(range(len(nodes))) - {child for node in nodes for child in node.get("children", [])})


def _nodes_below(roots: list[int], nodes: list[dict[str, Any]]) -> set[int]:
    """These nodes and all below them. Raises RejectedError where they are no trees, or too deep."""
    found: set[int] = set()
    level, depth = list(roots), 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise RejectedError(f"its nodes are nested more than {MAX_DEPTH} deep")
        if len(set(level)) < len(level) or found & set(level):
            raise RejectedError("its nodes are no tree: one of them is below several, or below itself")
        found |= set(level)
        level = [child for number in level for child in nodes[number].get("children", [])]
    return found


def _at_rest(description: dict[str, Any], roots: list[int], shown: set[int]) -> dict[str, Any]:
    """Blender 4.2 shows the meshes of all scenes, and any shows an animation's first frame: neither is kept."""
    nodes = [
        {name: value for name, value in node.items() if name != "camera" and (number in shown or name != "mesh")}
        for number, node in enumerate(description.get("nodes", []))
    ]
    left = {name: value for name, value in description.items() if name not in ("animations", "cameras")}
    if required := left.get("extensionsRequired"):  # Blender names what it lacks if the file says that it uses it
        left["extensionsUsed"] = sorted({*left.get("extensionsUsed", []), *required})
    return {**left, "nodes": nodes, "scenes": [{"nodes": roots}], "scene": 0}


def _check_buffers(file: GlbFile) -> None:
    for number, buffer in enumerate(file.description.get("buffers", [])):
        if not buffer.get("uri", DATA_URI).startswith(DATA_URI):
            raise RejectedError("its numbers are in another file")
        if number == 0 and "uri" not in buffer and buffer["byteLength"] > len(file.binary):
            raise RejectedError("it is cut short: its numbers are not all there")


def _view(file: GlbFile, number: int) -> tuple[int, int]:
    """Where a buffer view begins and ends in the binary part. Raises RejectedError."""
    view = file.description["bufferViews"][number]
    begin = view.get("byteOffset", 0)
    if begin < 0 or view["byteLength"] < 0 or begin + view["byteLength"] > len(file.binary):
        raise RejectedError("its numbers point outside of the file")
    return begin, begin + view["byteLength"]


def _is_inside(file: GlbFile, number: int) -> bool:
    """Whether a buffer view lies in the binary part, as all of most files do."""
    buffer = file.description["bufferViews"][number].get("buffer", 0)
    return buffer == 0 and "uri" not in file.description["buffers"][0]


def _check_numbers(file: GlbFile, number: int) -> None:
    """Of one accessor. Raises RejectedError."""
    accessor = file.description["accessors"][number]
    count, size = accessor["count"], _bytes_of_element(accessor)
    if type(count) is not int or count < 1:
        raise RejectedError(f"one of its tables has {count} rows")
    if "bufferView" not in accessor:
        if count > MAX_CLAIMED:
            raise RejectedError(f"it claims {count} rows of numbers that are not in the file")
    elif _is_inside(file, accessor["bufferView"]):
        begin, end = _view(file, accessor["bufferView"])
        stride = file.description["bufferViews"][accessor["bufferView"]].get("byteStride", size)
        offset = accessor.get("byteOffset", 0)
        if offset < 0 or stride < 1 or begin + offset + (count - 1) * stride + size > end:
            raise RejectedError("its numbers point outside of the file")


def _bytes_of_element(accessor: dict[str, Any]) -> int:
    return np.dtype(COMPONENTS[accessor["componentType"]]).itemsize * ELEMENTS[accessor["type"]]


def _check_indices(file: GlbFile) -> None:
    """That faces are made of vertices that there are. Raises RejectedError."""
    accessors = file.description.get("accessors", [])
    for mesh in file.description.get("meshes", []):
        for primitive in mesh["primitives"]:
            if "indices" not in primitive or primitive.get("extensions"):
                continue
            indices = accessors[primitive["indices"]]
            if "bufferView" not in indices or not _is_inside(file, indices["bufferView"]):
                continue
            begin = _view(file, indices["bufferView"])[0] + indices.get("byteOffset", 0)
            numbers = np.frombuffer(file.binary, COMPONENTS[indices["componentType"]], indices["count"], begin)
            if numbers.max() >= accessors[primitive["attributes"]["POSITION"]]["count"]:
                raise RejectedError("its faces have vertices that are not there")


def _check_pictures(file: GlbFile) -> None:
    """That the pictures of its textures are there, readable and not too large together. Raises RejectedError."""
    sources = {texture["source"] for texture in file.description.get("textures", []) if "source" in texture}
    pixels = 0
    for number, image in enumerate(file.description.get("images", [])):
        try:
            width, height = picture_size(io.BytesIO(_encoded_picture(file, image)))
        except Unreadable as error:
            if number not in sources:  # of an extension: textures in a format that Blender knows are there beside it
                continue
            raise RejectedError(f"its texture {number} cannot be read ({error})") from error
        pixels += width * height
        if pixels > MAX_PIXELS:
            raise RejectedError(f"its textures have more than {MAX_PIXELS // 10**6} million pixels")


def _encoded_picture(file: GlbFile, image: dict[str, Any]) -> bytes:
    if "bufferView" in image:
        begin, end = _view(file, image["bufferView"])
        return file.binary[begin:end]
    if not image["uri"].startswith(DATA_URI):
        raise RejectedError("one of its textures is in another file")
    return base64.b64decode(image["uri"].partition(",")[2], validate=True)
