"""Conversion of images and other outputs of a pipeline to one array."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image

from pytest_diffopt.errors import ProbeError

Pixels = npt.NDArray[np.float64]

_MAX_CHANNELS = 4
_RANK_OF_BATCH = 4
_LARGEST_BYTE = 255.0
#: PIL's modes with eight bits per channel; `P` is excluded, since its values are palette indices.
_PIL_MODES = ("L", "LA", "RGB", "RGBA")


def images_of(output: Any) -> Pixels:
    """Return the images of an output as float64 in [0, 1], shape (number, height, width, channels).

    Args:
        output: a pipeline's output object, its `images`, a tensor, an array, a PIL image, or a list of any of them.
            uint8 values are divided by 255; floating-point values must be in [0, 1]. Channels are first or last; where
            the shape allows both, they are first in a tensor and last in an array.

    Raises:
        ProbeError: the output contains no image, images of different sizes, or integers of more than eight bits.
    """
    values = values_of(output)
    if values.ndim == _RANK_OF_BATCH - 1:
        values = values[np.newaxis]
    if values.ndim != _RANK_OF_BATCH or values.shape[-1] > _MAX_CHANNELS or not values.size:
        msg = f"images must have the shape (number, height, width, channels), got: {values.shape}"
        raise ProbeError(msg)
    return values


def values_of(output: Any) -> Pixels:
    """Return every value of an output as float64, channels last; uint8 values are divided by 255.

    Raises:
        ProbeError: the output has an unsupported type, or is a list of items of different sizes.
    """
    output = getattr(output, "images", output)
    if isinstance(output, torch.Tensor):
        return _of_tensor(output)
    if isinstance(output, np.ndarray):
        array = _scaled(output)
        return np.moveaxis(array, -3, -1) if _must_be_channels_first(array) else array
    if isinstance(output, Image):
        return _of_pil(output)
    if isinstance(output, (list, tuple)) and output:
        return _stacked([values_of(item) for item in output])
    msg = f"images must come as tensors, arrays or PIL images, got: {type(output).__name__}"
    raise ProbeError(msg)


def _of_tensor(tensor: torch.Tensor) -> Pixels:
    if not (tensor.dtype == torch.uint8 or tensor.dtype.is_floating_point):
        _refuse_type(str(tensor.dtype))
    # numpy has no bfloat16: convert in torch.
    array = tensor.detach().cpu().to(torch.float64).numpy()
    array = array / _LARGEST_BYTE if tensor.dtype == torch.uint8 else array
    return np.moveaxis(array, -3, -1) if _may_be_channels_first(array) else array


def _of_pil(image: Image) -> Pixels:
    if image.mode not in _PIL_MODES:
        msg = (
            f"PIL images must have eight bits per channel ({', '.join(_PIL_MODES)}), got: mode {image.mode!r}; "
            'convert it: image.convert("RGB")'
        )
        raise ProbeError(msg)
    try:
        array = np.asarray(image)
    except (OSError, SyntaxError) as error:  # PIL reads the file only here; it raises SyntaxError for a broken PNG
        msg = f"a PIL image cannot be read: {error}"
        raise ProbeError(msg) from error
    return _scaled(array if array.ndim >= _RANK_OF_BATCH - 1 else array[..., np.newaxis])


def _may_be_channels_first(array: Pixels) -> bool:
    return array.ndim >= _RANK_OF_BATCH - 1 and array.shape[-3] <= _MAX_CHANNELS


def _must_be_channels_first(array: Pixels) -> bool:
    return _may_be_channels_first(array) and array.shape[-1] > _MAX_CHANNELS


def _scaled(array: npt.NDArray[Any]) -> Pixels:
    if array.dtype == np.uint8:
        return array.astype(np.float64) / _LARGEST_BYTE
    if not np.issubdtype(array.dtype, np.floating):
        _refuse_type(str(array.dtype))
    return array.astype(np.float64)


def _refuse_type(name: str) -> None:
    msg = f"images must be uint8, or floating-point in [0, 1], got: {name}"
    raise ProbeError(msg)


def _stacked(arrays: list[Pixels]) -> Pixels:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        msg = f"all images of a batch must have the same size, got: {', '.join(map(str, shapes))}"
        raise ProbeError(msg)
    return arrays[0] if len(arrays) == 1 and arrays[0].ndim >= _RANK_OF_BATCH else np.stack(arrays)
