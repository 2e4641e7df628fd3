"""How diffusers' own tests judge an image: nine values of its last channel, in the lower right corner.

`tests/pipelines/stable_diffusion/test_stable_diffusion.py` and most of its neighbours: `image[0, -3:, -3:, -1]` against
nine stored numbers, by the largest difference or by the cosine distance.
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
    """What diffusers' checks say of an image; each is true where that check is red.

    Attributes:
        cosine: the cosine distance of the nine values is past 1e-3.
        within_1e3: one of them is further off than 1e-3.
        within_1e2: one of them is further off than 1e-2.
    """

    cosine: bool
    within_1e3: bool
    within_1e2: bool


#: The check cannot pass: the call raised.
RAISED = SliceCheck(cosine=True, within_1e3=True, within_1e2=True)


def check_slice(images: Any, expected: Any) -> SliceCheck:
    """Check the first image of a batch as diffusers does.

    Args:
        images: an array of shape (number, height, width, channels).
        expected: what was drawn before, of the same shape.
    """
    seen, stored = _slice(images), _slice(expected)
    largest = float(np.abs(seen - stored).max())
    # Written as "not (good)" so that a NaN, which compares false with everything, is red as it is in diffusers.
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
