"""Three channels in [0, 1], which models of sight are made for, of images that have any other number."""

import numpy as np
import numpy.typing as npt

_COLOR_CHANNELS = 3


def three_channels(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return three channels: one of grey is each of them, and transparency is left out.

    Args:
        images: float, shape (..., channels); values outside of [0, 1] are clipped.
    """
    channels = images.shape[-1]
    colors = images[..., :_COLOR_CHANNELS] if channels >= _COLOR_CHANNELS else images[..., [0, 0, 0]]
    return np.ascontiguousarray(np.clip(colors, 0.0, 1.0), dtype=np.float32)
