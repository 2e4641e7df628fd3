"""Images of any number of channels, in the three that models of sight know."""

import numpy as np

from pytest_diffopt.probes.color_channels import three_channels


def test_colors_stay_as_they_are_as_float32() -> None:
    """In one piece of memory, whatever the array was a view of."""
    images = np.linspace(0.0, 1.0, 2 * 3 * 4 * 3).reshape(2, 3, 4, 3)[:, :, ::-1]
    colors = three_channels(images)

    assert colors.dtype == np.float32
    assert colors.flags.c_contiguous
    np.testing.assert_array_equal(colors, images.astype(np.float32))


def test_grey_is_each_channel() -> None:
    """With transparency or without."""
    grey = np.array([[[0.25], [0.5]]])
    clear = np.concatenate([grey, np.zeros_like(grey)], axis=-1)

    assert three_channels(grey).tolist() == [[[0.25, 0.25, 0.25], [0.5, 0.5, 0.5]]]
    np.testing.assert_array_equal(three_channels(clear), three_channels(grey))


def test_transparency_is_left_out() -> None:
    """Nobody says what lies behind."""
    np.testing.assert_array_equal(three_channels(np.array([0.25, 0.5, 0.75, 0.1])), [0.25, 0.5, 0.75])


def test_what_is_beyond_the_ends_is_cut_off() -> None:
    """A half precision rounds a little past them."""
    np.testing.assert_array_equal(three_channels(np.array([-0.01, 0.5, 1.01])), [0.0, 0.5, 1.0])
