"""Which of all that may be shown is shown: a small network that weighs the evidence of each pixel.

After IBRNet (arXiv 2102.13090, section 3.2): what is known of each photo, and the mean and the spread of that over the photos,
which do not depend on their order or number, give each photo's weight. The colours are mixed, never made up.
"""

import torch
from torch import Tensor, nn

from .evidence import GUESSES, OF_PHOTOS, OF_PLACES, Evidence

# Before it is trained it shows what the rule decides.
TRUST_IN_THE_RULE = 4.0


class Blend(nn.Module):
    """Weights of what may be shown at each pixel, by its evidence. width: of what is kept of a photo; hidden: of a place."""

    def __init__(self, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.width, self.hidden = width, hidden
        self.photo = nn.Sequential(nn.Linear(OF_PHOTOS, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.place = nn.Sequential(
            nn.Linear(2 * width + OF_PLACES, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        last = nn.Linear(width, 1)
        self.of_photo = nn.Sequential(nn.Linear(width + hidden, width), nn.GELU(), last)
        self.of_guesses = nn.Linear(hidden, len(GUESSES))
        for layer in (last, self.of_guesses):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.of_guesses.bias[GUESSES.index("decided")] = TRUST_IN_THE_RULE
            self.of_guesses.bias[GUESSES.index("background")] = TRUST_IN_THE_RULE

    def forward(self, evidence: Evidence) -> Tensor:
        """Weights (..., C) that sum to 1."""
        photos = self.photo(evidence.of_photos)  # (..., V, width)
        is_present = (evidence.of_photos != 0).any(-1, keepdim=True).to(photos.dtype)
        count = is_present.sum(-2).clamp_min(1)
        mean = (photos * is_present).sum(-2) / count
        spread = ((photos - mean[..., None, :]).square() * is_present).sum(-2) / count
        place = self.place(torch.cat([mean, (spread + 1e-6).sqrt(), evidence.of_places], -1))
        seen_from = place[..., None, :].expand(*photos.shape[:-1], self.hidden)
        of_photos = self.of_photo(torch.cat([photos, seen_from], -1))[..., 0]
        return (torch.cat([self.of_guesses(place), of_photos], -1) + evidence.prior).softmax(-1)
