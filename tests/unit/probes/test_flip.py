"""Tests of FLIP and its heat map."""

import flip_evaluator
import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.probes.flip import flip_heat_map, mean_flip

Pixels = npt.NDArray[np.float64]


def noise(seed: int, channels: int = 3) -> Pixels:
    """Return an image of noise."""
    return np.random.default_rng(seed).random((24, 24, channels))


def test_the_figure_is_that_of_flip_evaluator() -> None:
    """The reference is the first argument there; the figure is the mean of the map."""
    ours, theirs = noise(1), noise(2)
    errors, mean, _ = flip_evaluator.evaluate(
        theirs.astype(np.float32), ours.astype(np.float32), "LDR", applyMagma=False
    )

    assert mean_flip(ours, theirs) == pytest.approx(mean)
    assert mean_flip(ours, theirs) == pytest.approx(float(errors.mean()))


def test_flip_of_equal_and_of_opposite_images() -> None:
    """0 for equal images; nearly 1 for black and white."""
    black, white = np.zeros((24, 24, 3)), np.ones((24, 24, 3))

    assert mean_flip(noise(1), noise(1)) == 0.0
    assert mean_flip(black, white) > 0.9


def test_gray_is_converted_and_alpha_dropped() -> None:
    """FLIP is defined for three channels."""
    one, other = noise(1, 1), noise(2, 1)
    transparent, opaque = (np.concatenate([noise(3), np.full((24, 24, 1), alpha)], axis=-1) for alpha in (0.1, 1.0))

    assert mean_flip(one, other) == mean_flip(one.repeat(3, axis=-1), other.repeat(3, axis=-1))
    assert mean_flip(transparent, opaque) == 0.0


def test_flip_of_nan_is_nan() -> None:
    """NaN must not be clipped to a valid value."""
    broken = noise(1)
    broken[0, 0, 0] = np.nan

    assert np.isnan(mean_flip(broken, noise(1)))
    assert np.isnan(mean_flip(noise(1), broken))


def test_the_heat_map_is_dark_where_both_agree() -> None:
    """It uses the magma colormap, is in [0, 1], has the image's size, and accepts NaN."""
    changed = noise(1)
    changed[:, 12:] = 1 - changed[:, 12:]
    changed[0, 23] = np.nan
    colors = flip_heat_map(changed, noise(1))

    assert colors.shape == (24, 24, 3)
    assert 0.0 <= colors.min() <= colors.max() <= 1.0
    assert colors[:, :6].mean() < 0.2 < colors[:, 18:].mean()
