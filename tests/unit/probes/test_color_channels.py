"""Tests of the conversion of images to three channels."""

import numpy as np

from pytest_diffopt.probes.color_channels import three_channels


def test_three_channels_are_kept_as_float32() -> None:
    """The result is contiguous, also for a view."""
    images = np.linspace(0.0, 1.0, 2 * 3 * 4 * 3).reshape(2, 3, 4, 3)[:, :, ::-1]
    colors = three_channels(images)

    assert colors.dtype == np.float32
    assert colors.flags.c_contiguous
    np.testing.assert_array_equal(colors, images.astype(np.float32))


def test_a_gray_channel_is_repeated() -> None:
    """With and without an alpha channel."""
    gray = np.array([[[0.25], [0.5]]])
    with_alpha = np.concatenate([gray, np.zeros_like(gray)], axis=-1)

    assert three_channels(gray).tolist() == [[[0.25, 0.25, 0.25], [0.5, 0.5, 0.5]]]
    np.testing.assert_array_equal(three_channels(with_alpha), three_channels(gray))


def test_the_alpha_channel_is_dropped() -> None:
    """There is no background to blend with."""
    np.testing.assert_array_equal(three_channels(np.array([0.25, 0.5, 0.75, 0.1])), [0.25, 0.5, 0.75])


def test_values_are_clipped_to_zero_and_one() -> None:
    """Half precision rounds slightly beyond them."""
    np.testing.assert_array_equal(three_channels(np.array([-0.01, 0.5, 1.01])), [0.0, 0.5, 1.0])
