"""Pictures and other outputs of a pipeline, in whatever form they come, as one array."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image

from pytest_diffopt.errors import ProbeError

Pixels = npt.NDArray[np.float64]

_MAX_CHANNELS = 4
_RANK_OF_BATCH = 4


def pictures_of(output: Any) -> Pixels:
    """Return the pictures of an output as float64 in [0, 1], shape (number, height, width, channels).

    Args:
        output: a pipeline's output object, its `images`, a tensor (channels first), an array (channels last), a PIL
            image, or a list of any of them. uint8 values are divided by 255; floating values are taken as [0, 1].

    Raises:
        ProbeError: it holds no picture, or pictures of different sizes.
    """
    values = values_of(output)
    if values.ndim == _RANK_OF_BATCH - 1:
        values = values[np.newaxis]
    if values.ndim != _RANK_OF_BATCH or values.shape[-1] > _MAX_CHANNELS or not values.size:
        msg = f"pictures must have the shape (number, height, width, channels), got: {values.shape}"
        raise ProbeError(msg)
    return values


def values_of(output: Any) -> Pixels:
    """Return every value of an output as float64; integers of 8 bits are divided by 255, channels come last.

    Raises:
        ProbeError: it is nothing that can be compared, or a list of things of different sizes.
    """
    output = getattr(output, "images", output)
    if isinstance(output, torch.Tensor):
        # numpy has no bfloat16, so torch converts.
        array = output.detach().cpu().to(torch.float64).numpy() / (255.0 if output.dtype == torch.uint8 else 1.0)
        return np.moveaxis(array, -3, -1) if _is_channels_first(array) else array
    if isinstance(output, (np.ndarray, Image)):
        return _scaled(np.asarray(output))
    if isinstance(output, (list, tuple)) and output:
        return _stacked([values_of(item) for item in output])
    msg = f"pictures must come as tensors, arrays or PIL images, got: {type(output).__name__}"
    raise ProbeError(msg)


def _is_channels_first(array: Pixels) -> bool:
    return array.ndim >= _RANK_OF_BATCH - 1 and array.shape[-3] <= _MAX_CHANNELS


def _scaled(array: npt.NDArray[Any]) -> Pixels:
    return array.astype(np.float64) / 255.0 if array.dtype == np.uint8 else array.astype(np.float64)


def _stacked(arrays: list[Pixels]) -> Pixels:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        msg = f"all pictures of a batch must have the same size, got: {', '.join(map(str, shapes))}"
        raise ProbeError(msg)
    return arrays[0] if len(arrays) == 1 and arrays[0].ndim >= _RANK_OF_BATCH else np.stack(arrays)
