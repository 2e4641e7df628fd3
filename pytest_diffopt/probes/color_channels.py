"""Conversion of images to three channels in [0, 1], as FLIP and LPIPS require."""

import numpy as np
import numpy.typing as npt

_COLOR_CHANNELS = 3


def three_channels(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return images with three channels: a gray channel is repeated, and an alpha channel is dropped.

    Args:
        images: float, shape (..., channels); values outside of [0, 1] are clipped.
    """
    channels = images.shape[-1]
    colors = images[..., :_COLOR_CHANNELS] if channels >= _COLOR_CHANNELS else images[..., [0, 0, 0]]
    return np.ascontiguousarray(np.clip(colors, 0.0, 1.0), dtype=np.float32)
