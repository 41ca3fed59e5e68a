"""ICC profiles made of numbers, and what they say a colour is: the truth that conversions are held to.

Matrix and curve profiles of ICC.1:2001-04, version 2.4.
"""

import struct

import numpy as np

# CIE 1931, ICC's D50, and Bradford's cone responses.
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65_XY, D50_XY = (0.3127, 0.3290), (0.3457, 0.3585)
# Name -> red, green, blue and white (x, y), and the exponent of the curve.
SPACES = {
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65_XY, 2.2),
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65_XY, 2.2),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65_XY, 563 / 256),
    "ProPhoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), D50_XY, 1.8),
}


def xyz_from_rgb(name: str) -> np.ndarray:
    """(3, 3) linear RGB of a space -> XYZ under D50."""
    *primaries, white, _ = SPACES[name]
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    point = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    matrix = columns * np.linalg.solve(columns, point)
    adapted = np.diag((BRADFORD @ D50) / (BRADFORD @ point))
    return np.linalg.inv(BRADFORD) @ adapted @ BRADFORD @ matrix


def light_in(name: str, linear_srgb: np.ndarray) -> np.ndarray:
    """Linear sRGB (..., 3) as values of a space with its curve, in [0, 1] where the space has the colour."""
    light = linear_srgb @ (np.linalg.inv(xyz_from_rgb(name)) @ xyz_from_rgb("sRGB")).T
    return light.clip(0, 1) ** (1 / SPACES[name][-1])


def rgb_profile(name: str) -> bytes:
    matrix, curve = xyz_from_rgb(name), _curve(SPACES[name][-1])
    columns = {tag: _xyz(matrix[:, at]) for at, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return _profile(b"RGB ", {**columns, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})


def grey_profile(exponent: float) -> bytes:
    return _profile(b"GRAY", {b"kTRC": _curve(exponent)})


def cmyk_profile() -> bytes:
    """Ink that leaves of paper's light (1 - c)(1 - k), and so on, as a table of two steps an ink to Lab: only its ends count."""
    corners = np.array([[bit >> at & 1 for at in (3, 2, 1, 0)] for bit in range(16)])  # the last ink moves first
    light = (1 - corners[:, :3]) * (1 - corners[:, 3:])
    lab = _lab(light @ xyz_from_rgb("sRGB").T)
    codes = np.stack([lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], axis=1)
    straight = struct.pack(">HH", 0, 65535)
    table = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    table += struct.pack(">HH", 2, 2) + straight * 4
    table += codes.round().clip(0, 65535).astype(">u2").tobytes() + straight * 3
    return _profile(b"CMYK", {b"A2B0": table, b"A2B1": table}, connection=b"Lab ", kind=b"prtr")


def _lab(xyz: np.ndarray) -> np.ndarray:
    ratio = xyz / D50
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


def _curve(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256)) + b"\0\0"


def _xyz(value: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(part) * 65536) for part in value))


def _profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78 + b"\0",
        b"wtpt": _xyz(D50),
        **tags,
    }
    at, rows, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        rows += name + struct.pack(">II", at + len(body), len(value))
        body += value
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0\0\0\0", 0x02400000, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + rows + body
