"""What the scores of a checked capture say, in sentences. No bpy."""

import statistics
from collections.abc import Mapping

# Median PSNR in dB, below which pictures are like the photos only roughly, and hardly at all.
ROUGH, WRONG = 20.0, 16.0
# A photo stands out when it is so many dB below the median, and so many times further than photos are on average: by the
# median absolute deviation, which a few bad ones do not move, and which is 1 / 1.4826 of a normal distribution's deviation.
MIN_DROP, MIN_DEVIATIONS, NORMAL = 4.0, 3.5, 1.4826
# Of fewer, none is the rule and none the exception.
FEWEST = 4


def outliers(psnrs: Mapping[str, float]) -> list[str]:
    """The names of the photos whose PSNR in dB is far below the others', worst first."""
    if len(psnrs) < FEWEST:
        return []
    median = statistics.median(psnrs.values())
    deviation = NORMAL * statistics.median(abs(psnr - median) for psnr in psnrs.values())
    limit = median - max(MIN_DROP, MIN_DEVIATIONS * deviation)
    return sorted((name for name, psnr in psnrs.items() if psnr < limit), key=lambda name: psnrs[name])


def verdict(psnrs: Mapping[str, float]) -> tuple[str, ...]:
    """Sentences: whether the model can be trusted, and which photos are suspect. psnrs: of one photo at least, by name."""
    median = statistics.median(psnrs.values())
    photos = "1 photo" if len(psnrs) == 1 else f"{len(psnrs)} photos"
    trust = "hardly like" if median < WRONG else "roughly like" if median < ROUGH else "like"
    sentences = [f"{photos} checked: median {median:.1f} dB, the pictures are {trust} the photos"]
    suspects = outliers(psnrs)
    if suspects:
        named = f"{suspects[0]} ({psnrs[suspects[0]]:.1f} dB)"
        who = named if len(suspects) == 1 else f"{named} and {len(suspects) - 1} more"
        sentences.append(f"{who} may have a bad pose, be out of focus, or show what no other photo shows")
    return tuple(sentences)
