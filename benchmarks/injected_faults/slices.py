"""The image check of diffusers' own tests: nine values of the last channel, in the lower right corner.

`tests/pipelines/stable_diffusion/test_stable_diffusion.py` and most tests next to it compare `image[0, -3:, -3:, -1]`
with nine stored numbers, by maximum difference or by cosine distance.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

_PIXELS = 3
_COSINE_LIMIT = 1e-3
_TIGHT_LIMIT = 1e-3
_USUAL_LIMIT = 1e-2


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceCheck:
    """The results of diffusers' checks of an image; True means that the check fails.

    Attributes:
        cosine: whether the cosine distance of the nine values exceeds 1e-3.
        within_1e3: whether a value differs by more than 1e-3.
        within_1e2: whether a value differs by more than 1e-2.
    """

    cosine: bool
    within_1e3: bool
    within_1e2: bool


#: The call raised, so every check fails.
RAISED = SliceCheck(cosine=True, within_1e3=True, within_1e2=True)


def check_slice(images: Any, expected: Any) -> SliceCheck:
    """Check the first image of a batch as diffusers does.

    Args:
        images: an array of shape (number, height, width, channels).
        expected: the stored images, of the same shape.
    """
    seen, stored = _slice(images), _slice(expected)
    largest = float(np.abs(seen - stored).max())
    # Negated comparisons, so that NaN fails, as it does in diffusers.
    return SliceCheck(
        cosine=not _cosine_distance(seen, stored) < _COSINE_LIMIT,
        within_1e3=not largest < _TIGHT_LIMIT,
        within_1e2=not largest < _USUAL_LIMIT,
    )


def _slice(images: Any) -> Any:
    return np.asarray(images, dtype=np.float64)[0, -_PIXELS:, -_PIXELS:, -1].flatten()


def _cosine_distance(one: Any, other: Any) -> float:
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 1.0 - float(one @ other) / norms if norms else float("nan")
