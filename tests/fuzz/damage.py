"""How good inputs become bad ones: bytes, words, JSON values. A generator of numbers tells all of it."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

WORDS = ["", "-", "nan", "1e999", "9" * 400, "0,5", "#", "\n", "\0", "\ufeff", "[", "{}", '"', "<a>", "-1", "0", "x"]
VALUES = [None, True, -1, 0, 1e308, 10**400, float("nan"), float("inf"), "", "x", "../x", "\x1b[2J", [], [[]], {}, 0.5]


def damaged_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, cut off, left out or doubled."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        changed[int(rng.integers(len(changed)))] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
    at, length = int(rng.integers(len(changed))), int(rng.integers(1, 64))
    if rng.random() < 0.2:
        return bytes(changed[:at])
    if rng.random() < 0.2:
        return bytes(changed[:at] + changed[at + length :])
    return bytes(changed[:at] + changed[at : at + length] + changed[at:]) if rng.random() < 0.1 else bytes(changed)


def damaged_text(text: str, rng: np.random.Generator) -> bytes:
    """Some words of it others; at times its bytes damaged too."""
    words = re.split(r"([\s,:<>\"]+)", text)
    for _ in range(int(rng.integers(1, 5))):
        words[int(rng.integers(len(words)))] = WORDS[int(rng.integers(len(WORDS)))]
    content = "".join(words).encode()
    return damaged_bytes(content, rng) if content and rng.random() < 0.3 else content


def damaged_json(value: Any, rng: np.random.Generator) -> Any:
    """Some of its values others, or gone. The value itself is left alone."""
    root = [_copy(value)]
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(root))
        holder, key = places[int(rng.integers(len(places)))]
        if isinstance(holder, dict) and rng.random() < 0.3:
            del holder[key]
        else:
            holder[key] = _copy(VALUES[int(rng.integers(len(VALUES)))])
    return root[0]


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    keys = holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
    for key in keys:
        yield holder, key
        yield from _places(holder[key])
