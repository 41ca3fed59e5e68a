"""What the names and shapes of a file's tensors tell, whatever the family."""

import re
from collections.abc import Mapping

from torch import Tensor


def shape_of(tensors: Mapping[str, Tensor], name: str, dimensions: int, family: str) -> tuple[int, ...]:
    """Raises ValueError where the tensor is missing, or has another number of dimensions."""
    if name not in tensors:
        raise ValueError(f"it has no tensor '{name}', so it is not a published {family} model")
    if tensors[name].dim() != dimensions:
        raise ValueError(f"its tensor '{name}' has the shape {tuple(tensors[name].shape)}")
    return tuple(tensors[name].shape)


def count_blocks(tensors: Mapping[str, Tensor], stack: str) -> int:
    """How many blocks a stack has. Raises ValueError where they are not numbered from 0 on."""
    found = {match[1] for name in tensors if (match := re.match(rf"{stack}\.([^.]+)\.", name))}
    strangers = found - {str(index) for index in range(len(found))}
    if strangers:
        raise ValueError(f"its '{stack}.{min(strangers)[:40]}' is one of {len(found)} blocks, not numbered from 0 on")
    return len(found)
