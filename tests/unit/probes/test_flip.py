"""FLIP, as its authors' own program says it of an image, and drawn for people."""

import flip_evaluator
import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.probes.flip import flip_heat_map, mean_flip

Pixels = npt.NDArray[np.float64]


def noise(seed: int, channels: int = 3) -> Pixels:
    """Draw an image."""
    return np.random.default_rng(seed).random((24, 24, channels))


def test_the_figure_is_its_authors() -> None:
    """Reference first, as they ask for it; the figure is a mean of their map."""
    ours, theirs = noise(1), noise(2)
    errors, mean, _ = flip_evaluator.evaluate(
        theirs.astype(np.float32), ours.astype(np.float32), "LDR", applyMagma=False
    )

    assert mean_flip(ours, theirs) == pytest.approx(mean)
    assert mean_flip(ours, theirs) == pytest.approx(float(errors.mean()))


def test_equal_images_and_opposite_ones() -> None:
    """Nobody sees a difference of nothing; black beside white is nearly all that can be seen."""
    black, white = np.zeros((24, 24, 3)), np.ones((24, 24, 3))

    assert mean_flip(noise(1), noise(1)) == 0.0
    assert mean_flip(black, white) > 0.9


def test_grey_is_taken_for_a_color_and_transparency_is_left_out() -> None:
    """FLIP knows three channels and no other number."""
    one, other = noise(1, 1), noise(2, 1)
    clear, opaque = (np.concatenate([noise(3), np.full((24, 24, 1), alpha)], axis=-1) for alpha in (0.1, 1.0))

    assert mean_flip(one, other) == mean_flip(one.repeat(3, axis=-1), other.repeat(3, axis=-1))
    assert mean_flip(clear, opaque) == 0.0


def test_what_is_no_number_has_no_figure() -> None:
    """A NaN must not be clipped into a good one."""
    broken = noise(1)
    broken[0, 0, 0] = np.nan

    assert np.isnan(mean_flip(broken, noise(1)))
    assert np.isnan(mean_flip(noise(1), broken))


def test_the_heat_map_is_dark_where_both_agree() -> None:
    """Magma, in [0, 1], as large as the image; also of an image with NaN."""
    changed = noise(1)
    changed[:, 12:] = 1 - changed[:, 12:]
    changed[0, 23] = np.nan
    drawn = flip_heat_map(changed, noise(1))

    assert drawn.shape == (24, 24, 3)
    assert 0.0 <= drawn.min() <= drawn.max() <= 1.0
    assert drawn[:, :6].mean() < 0.2 < drawn[:, 18:].mean()
