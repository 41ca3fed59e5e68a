"""GLB files (glTF 2.0 specification, 4.4): a description, and the numbers and pictures that it tells of. No Blender."""

import json
import struct
from dataclasses import dataclass
from typing import Any

MAGIC, VERSION, HEADER_BYTES = b"glTF", 2, 12
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
# Bytes; a file's description of itself is far smaller.
MAX_DESCRIPTION = 64 * 2**20


class GlbError(Exception):
    """Bytes that are no GLB file, and why: words for the brackets of a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class GlbFile:
    """description: the JSON object. binary: what its first buffer holds."""

    description: dict[str, Any]
    binary: bytes

    @classmethod
    def from_bytes(cls, content: bytes) -> "GlbFile":
        """Raises GlbError."""
        if len(content) < HEADER_BYTES or content[:4] != MAGIC:
            raise GlbError("it does not begin as one")
        version, length = struct.unpack_from("<II", content, 4)
        if version != VERSION:
            raise GlbError(f"its version is {version}")
        if length > len(content):
            raise GlbError("it is cut short")
        kind, text, end = _chunk(content, HEADER_BYTES)
        if kind != JSON_CHUNK or len(text) > MAX_DESCRIPTION:
            raise GlbError("it has no description, or an endless one")
        try:
            description = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GlbError("its description is no JSON") from error
        if not isinstance(description, dict):
            raise GlbError("its description is no JSON object")
        kind, binary, _ = _chunk(content, end) if end < length else (BINARY_CHUNK, b"", end)
        return cls(description, binary if kind == BINARY_CHUNK else b"")

    def to_bytes(self) -> bytes:
        """The file."""
        text = json.dumps(self.description).encode()
        chunks = [(JSON_CHUNK, text + b" " * (-len(text) % 4))]
        if self.binary:
            chunks.append((BINARY_CHUNK, self.binary + b"\0" * (-len(self.binary) % 4)))
        body = b"".join(struct.pack("<II", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<4sII", MAGIC, VERSION, HEADER_BYTES + len(body)) + body


def _chunk(content: bytes, begin: int) -> tuple[int, bytes, int]:
    """The kind of the chunk that begins here, what it holds, and where it ends."""
    if begin + 8 > len(content):
        raise GlbError("it is cut short")
    length, kind = struct.unpack_from("<II", content, begin)
    end = begin + 8 + length
    if end > len(content):
        raise GlbError("it is cut short")
    return kind, content[begin + 8 : end], end
