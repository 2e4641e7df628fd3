"""Test the check of diffusers' own tests: nine values of one corner and one channel."""

from typing import Any

import numpy as np
import pytest

from benchmarks.injected_faults.slices import SliceCheck, check_slice

IMAGE = np.linspace(0.1, 0.9, 8 * 8 * 3).reshape(1, 8, 8, 3)
PASSED = SliceCheck(cosine=False, within_1e3=False, within_1e2=False)


def changed(value: float, *place: Any) -> Any:
    """Return the image with a value added at a place."""
    image = IMAGE.copy()
    image[place] += value
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (IMAGE, PASSED),
        (changed(0.0005, 0, -1, -1, -1), PASSED),
        (changed(0.005, 0, -1, -1, -1), SliceCheck(cosine=False, within_1e3=True, within_1e2=False)),
        (changed(0.05, 0, -1, -1, -1), SliceCheck(cosine=False, within_1e3=True, within_1e2=True)),
        (changed(-0.9, 0, -1, -1, -1), SliceCheck(cosine=True, within_1e3=True, within_1e2=True)),
        (changed(np.nan, 0, -1, -1, -1), SliceCheck(cosine=True, within_1e3=True, within_1e2=True)),
    ],
    ids=["equal", "rounding", "past 1e-3", "past 1e-2", "other direction", "NaN"],
)
def test_corner_is_compared(image: Any, expected: SliceCheck) -> None:
    """The corner is compared with each of the three limits; NaN fails, as in diffusers."""
    assert check_slice(image, IMAGE) == expected


@pytest.mark.parametrize("place", [(0, 0, 0, 2), (0, 4, 4, 2), (0, -1, -1, 0)], ids=["corner", "middle", "channel"])
def test_other_values_are_ignored(place: tuple[int, ...]) -> None:
    """Errors outside of the corner, or in another channel, are not detected."""
    assert check_slice(changed(1.0, *place), IMAGE) == PASSED


def test_black_corner_fails_by_cosine() -> None:
    """The cosine distance of zero vectors is NaN, so the check fails."""
    black = np.zeros_like(IMAGE)

    assert check_slice(black, black) == SliceCheck(cosine=True, within_1e3=False, within_1e2=False)
