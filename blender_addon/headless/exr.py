"""OpenEXR files made of numpy arrays: one part of scan lines, compressed by ZIP. Blender's Python writes no layers of its own.

The format: https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

import struct
import zlib
from collections.abc import Mapping

import numpy as np

_MAGIC, _VERSION = 20000630, 2
_ZIP, _LINES_A_CHUNK = 3, 16
# By the arrays' types: HALF and FLOAT.
_KINDS = {np.dtype("<f2"): 1, np.dtype("<f4"): 2}
# Level 1 is several times as fast as the default, and hardly larger: most of it is noise.
_COMPRESSION = 1


def encode_exr(channels: Mapping[str, np.ndarray], text: Mapping[str, str] | None = None) -> bytes:
    """Arrays (H, W), float16 or float32, from the top, by their channels' names -> the bytes of an OpenEXR file. text: told in
    its header, by names of at most 31 letters.

    "R", "G", "B", "A" are the picture, "Depth.Z" the channel Z of a layer Depth. Names have at most 31 letters of ASCII.
    """
    named = sorted((name.encode("ascii"), np.ascontiguousarray(values)) for name, values in channels.items())
    height, width = named[0][1].shape
    rows = np.concatenate([values.view(np.uint8).reshape(height, -1) for _, values in named], axis=1)
    chunks = [_chunk(top, rows[top : top + _LINES_A_CHUNK]) for top in range(0, height, _LINES_A_CHUNK)]
    kinds = b"".join(name + struct.pack("<xiB3xii", _KINDS[values.dtype], 0, 1, 1) for name, values in named)
    header = struct.pack("<ii", _MAGIC, _VERSION) + _header(kinds + b"\0", width, height, text or {})
    first = len(header) + 8 * len(chunks)
    places = np.cumsum([first, *(len(chunk) for chunk in chunks[:-1])], dtype="<u8")
    return b"".join([header, places.tobytes(), *chunks])


def _header(kinds: bytes, width: int, height: int, text: Mapping[str, str]) -> bytes:
    window = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    attributes = (
        ("channels", "chlist", kinds),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),  # from the top
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<ff", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        *((name, "string", line.encode()) for name, line in text.items()),
    )
    return b"".join(
        f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value for name, kind, value in attributes
    ) + b"\0"  # fmt: skip


def _chunk(top: int, rows: np.ndarray) -> bytes:
    """Some scan lines (h, bytes a line), from line `top` on: bytes of equal rank side by side, as differences, compressed."""
    plain = rows.reshape(-1)
    sorted_bytes = np.concatenate([plain[::2], plain[1::2]])
    differences = np.concatenate([sorted_bytes[:1], sorted_bytes[1:] - sorted_bytes[:-1] + np.uint8(128)])
    compressed = zlib.compress(differences.tobytes(), _COMPRESSION)
    content = compressed if len(compressed) < plain.size else plain.tobytes()  # as the format has it
    return struct.pack("<ii", top, len(content)) + content
