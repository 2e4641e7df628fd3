"""Diffusers' own check, as its tests make it: nine values of one corner and one channel."""

from typing import Any

import numpy as np
import pytest

from benchmarks.injected_faults.slices import SliceCheck, check_slice

IMAGE = np.linspace(0.1, 0.9, 8 * 8 * 3).reshape(1, 8, 8, 3)
GREEN = SliceCheck(cosine=False, within_1e3=False, within_1e2=False)


def changed(value: float, *place: Any) -> Any:
    """Return the image with something added at a place."""
    image = IMAGE.copy()
    image[place] += value
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (IMAGE, GREEN),
        (changed(0.0005, 0, -1, -1, -1), GREEN),
        (changed(0.005, 0, -1, -1, -1), SliceCheck(cosine=False, within_1e3=True, within_1e2=False)),
        (changed(0.05, 0, -1, -1, -1), SliceCheck(cosine=False, within_1e3=True, within_1e2=True)),
        (changed(-0.9, 0, -1, -1, -1), SliceCheck(cosine=True, within_1e3=True, within_1e2=True)),
        (changed(np.nan, 0, -1, -1, -1), SliceCheck(cosine=True, within_1e3=True, within_1e2=True)),
    ],
    ids=["equal", "rounding", "past 1e-3", "past 1e-2", "another direction", "NaN"],
)
def test_the_corner_is_compared(image: Any, expected: SliceCheck) -> None:
    """By each of the three limits; what is no number is red, as it is there."""
    assert check_slice(image, IMAGE) == expected


@pytest.mark.parametrize("place", [(0, 0, 0, 2), (0, 4, 4, 2), (0, -1, -1, 0)], ids=["corner", "middle", "channel"])
def test_the_rest_is_not(place: tuple[int, ...]) -> None:
    """Whatever is wrong elsewhere, or in another channel, is not seen."""
    assert check_slice(changed(1.0, *place), IMAGE) == GREEN


def test_a_black_corner_has_no_direction() -> None:
    """The cosine of zero length is no number, so the check is red."""
    black = np.zeros_like(IMAGE)

    assert check_slice(black, black) == SliceCheck(cosine=True, within_1e3=False, within_1e2=False)
