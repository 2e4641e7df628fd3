"""The parts of a call's output: images, the frames of videos, and audio."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.audio import samples_of
from pytest_diffopt.probes.image_arrays import Pixels, values_of

# The names of the parts in diffusers' output classes, in the states of its modular pipelines and in dictionaries.
_IMAGE_NAMES = ("images", "image")
_FRAME_NAMES = ("frames", "videos", "video")
_AUDIO_NAMES = ("audio", "audios", "waveform")
_RANK_OF_IMAGE = 3
_RANK_OF_BATCH = 4
_RANK_OF_VIDEOS = 5
_COLOR_CHANNELS = frozenset({1, 3, 4})


@dataclass(frozen=True, kw_only=True, slots=True)
class CallOutputs:
    """What a call returned, each part as the pipeline returned it; None for a part that it did not return.

    Attributes:
        images: images, latents, or any other values of a call that is neither of video nor of audio.
        frames: the frames of one video or of several, or the latents of videos.
        audio: waveforms, or the latents of audio.
    """

    images: Any = None
    frames: Any = None
    audio: Any = None


def outputs_of(output: Any) -> CallOutputs:
    """Return the parts of a call's output.

    Args:
        output: an output object of diffusers, a dictionary, the pair of a video and its audio that some pipelines
            return with `return_dict=False`, or images or frames alone. Five dimensions, or lists of lists of PIL
            images, are videos.
    """
    parts = {name: _part(output, names) for name, names in _NAMES.items()}
    if any(part is not None for part in parts.values()):
        return CallOutputs(**parts)
    if isinstance(output, tuple) and len(output) == 1:
        return outputs_of(output[0])
    if _is_video_with_audio(output):
        return CallOutputs(frames=output[0], audio=output[1])
    return CallOutputs(frames=output) if _rank(output) == _RANK_OF_VIDEOS else CallOutputs(images=output)


def named_values(output: Any) -> dict[str, Pixels]:
    """Return every value of each part of an output as float64, by the part's name (`images`, `frames`, `audio`).

    Raises:
        ProbeError: a part has an unsupported type, or is a list of items of different sizes.
    """
    outputs = outputs_of(output)
    readers = {"images": values_of, "frames": values_of, "audio": samples_of}
    parts = {name: getattr(outputs, name) for name in _NAMES}
    return {name: readers[name](part) for name, part in parts.items() if part is not None}


def videos_of(frames: Any) -> Pixels:
    """Return the frames of videos as float64 in [0, 1], shape (videos, frames, height, width, channels).

    Args:
        frames: the frames of one video, or of several of the same length, in any form in which diffusers returns them:
            tensors with channels first, arrays with channels last, or lists of PIL images.

    Raises:
        ProbeError: these are no frames, or frames or videos of different sizes.
    """
    values = values_of(frames)
    if values.ndim == _RANK_OF_BATCH:
        values = values[np.newaxis]
    if values.ndim != _RANK_OF_VIDEOS or values.shape[-1] not in _COLOR_CHANNELS or not values.size:
        msg = f"frames must have the shape (videos, frames, height, width, channels), got: {values.shape}"
        raise ProbeError(msg)
    return values


_NAMES = {"images": _IMAGE_NAMES, "frames": _FRAME_NAMES, "audio": _AUDIO_NAMES}


def _part(output: Any, names: tuple[str, ...]) -> Any:
    if isinstance(output, (torch.Tensor, np.ndarray, Image)):
        return None
    known = output if isinstance(output, Mapping) else {}
    found = (known.get(name, getattr(output, name, None)) for name in names)
    return next((part for part in found if _is_value(part)), None)


def _is_value(part: Any) -> bool:
    return isinstance(part, (torch.Tensor, np.ndarray, Image, list, tuple)) and _rank(part) > 0


def _is_video_with_audio(output: Any) -> bool:
    is_pair = isinstance(output, tuple) and len(output) == len(("video", "audio"))
    return is_pair and _rank(output[0]) == _RANK_OF_VIDEOS and 0 < _rank(output[1]) <= _RANK_OF_IMAGE


def _rank(value: Any) -> int:
    """Return the number of dimensions of nested lists of tensors, arrays or PIL images; 0 for anything else."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.ndim
    if isinstance(value, Image):
        return _RANK_OF_IMAGE
    if isinstance(value, (list, tuple)) and value:
        inner = _rank(value[0])
        return inner + 1 if inner else 0
    return 0
