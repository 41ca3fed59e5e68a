"""Newton-Schulz: matrices brought near the orthogonal ones that are nearest to them, by products alone."""

from torch import Tensor

# The quintic iteration of Muon (Jordan et al. 2024): steepest at 0, so that 5 rounds bring all singular values near 1.
COEFFICIENTS = (3.4445, -4.775, 2.0315)
ROUNDS = 5
EPSILON = 1e-7


def orthogonalised(matrices: Tensor) -> Tensor:
    """(..., rows, columns) -> the same shape: singular values near 1 (0.7 to 1.2, tiny ones less), singular vectors kept.

    Computed in the matrices' own dtype.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + EPSILON)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x


def orthogonalising_flops(rows: int, columns: int) -> float:
    """Floating point operations of one matrix's rounds."""
    short, long = sorted((rows, columns))
    return float(ROUNDS * (4 * short**2 * long + 2 * short**3))
