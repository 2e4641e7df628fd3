"""Three channels in [0, 1], which models of sight are made for, of pictures that have any other number."""

import numpy as np
import numpy.typing as npt

_COLOUR_CHANNELS = 3


def three_channels(pictures: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return three channels: one of grey is each of them, and transparency is left out.

    Args:
        pictures: float, shape (..., channels); values outside of [0, 1] are clipped.
    """
    channels = pictures.shape[-1]
    colours = pictures[..., :_COLOUR_CHANNELS] if channels >= _COLOUR_CHANNELS else pictures[..., [0, 0, 0]]
    return np.ascontiguousarray(np.clip(colours, 0.0, 1.0), dtype=np.float32)
