"""What tells two models' weights apart, whatever their files say beside them."""

import hashlib

from torch import nn


def weights_digest(model: nn.Module) -> str:
    """sha256 in hex of a model's tensors, by name, as float32. A new card leaves it; another stored precision does not."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
