"""A model soup (Wortsman et al. 2022, arXiv 2203.05482): the mean of the weights of models of which one was trained from another.

What chance gave each of them is averaged out, as in an ensemble, and the mean costs no more to use than one of them.
"""

from collections.abc import Mapping

from torch import Tensor

from lvsm_engine.errors import LvsmError
from lvsm_engine.model.checkpoint import load_model


class SoupError(LvsmError):
    """Models cannot be averaged: the sentence says why."""


def soup(weights: Mapping[str, Tensor], shares: Mapping[str, float]) -> dict[str, Tensor]:
    """The mean of these weights and those of models' files, float32.

    shares: of each file; the weights given have the rest of 1. Raises SoupError, CheckpointError.
    """
    rest = 1 - sum(shares.values())
    if rest <= 0 or any(share <= 0 for share in shares.values()):
        raise SoupError(
            f"The soup's shares are {', '.join(f'{share:g}' for share in shares.values())}: each must be above 0, and some"
            " of 1 must be left for the run's own weights."
        )
    mean = {name: rest * tensor.float() for name, tensor in weights.items()}
    for file, share in shares.items():
        others = load_model(file).state_dict()
        if {name: tensor.shape for name, tensor in others.items()} != {name: own.shape for name, own in mean.items()}:
            raise SoupError(f"{file}: its weights have other names or shapes than the run's; leave it out of the soup.")
        for name, tensor in others.items():
            mean[name] += share * tensor
    return mean
