"""The parts of a call's output are found in any form in which diffusers returns them."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.utils import BaseOutput
from PIL import Image

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.call_outputs import named_values, outputs_of, videos_of

VIDEO = np.random.default_rng(0).random((2, 5, 6, 8, 3))
ONE = VIDEO[0]
FIRST = torch.from_numpy(VIDEO).permute(0, 1, 4, 2, 3)
SOUND = torch.zeros(1, 2, 68)


class Output(BaseOutput):  # type: ignore[misc]  # diffusers has no types
    """An output object with the names of diffusers' own."""

    frames: Any = None
    audio: Any = None


def pil(frames: np.ndarray[Any, Any]) -> list[Image.Image]:
    """Return frames as PIL images."""
    return [Image.fromarray((frame * 255).round().astype(np.uint8)) for frame in frames]


@pytest.mark.parametrize(
    ("frames", "number"),
    [
        (VIDEO, 2),
        (FIRST, 2),
        ([pil(one) for one in VIDEO], 2),
        (list(VIDEO), 2),
        (list(FIRST), 2),
        (ONE, 1),
        (FIRST[0], 1),
        (pil(ONE), 1),
        ([pil(ONE)], 1),
        ([ONE], 1),
        (list(ONE), 1),
    ],
    ids=[
        "array",
        "tensor",
        "lists of PIL",
        "list of arrays",
        "list of tensors",
        "array of one",
        "tensor of one",
        "PIL of one",
        "list of PIL of one",
        "list of one array",
        "list of frames",
    ],
)
def test_frames_come_in_many_forms(frames: Any, number: int) -> None:
    """Of one video, or of several, with channels first or last."""
    videos = videos_of(frames)

    assert videos.shape == (number, 5, 6, 8, 3)
    assert np.abs(videos - VIDEO[:number]).max() <= 0.5 / 255 + 1e-9


@pytest.mark.parametrize("frames", [np.zeros((5, 6)), np.zeros((1, 2, 5, 16, 16)), np.zeros((1, 0, 6, 8, 3))])
def test_other_shapes_are_no_frames(frames: Any) -> None:
    """The message has the expected shape."""
    with pytest.raises(
        ProbeError, match=r"frames must have the shape \(videos, frames, height, width, channels\), got"
    ):
        videos_of(frames)


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        (Output(frames=VIDEO), {"frames"}),
        (Output(frames=VIDEO, audio=SOUND), {"frames", "audio"}),
        ((VIDEO,), {"frames"}),
        ((VIDEO, SOUND), {"frames", "audio"}),
        ((FIRST, SOUND[0]), {"frames", "audio"}),
        ({"videos": VIDEO, "sound": 3}, {"frames"}),
        ({"images": ONE, "audio": SOUND}, {"images", "audio"}),
        ({"audios": SOUND}, {"audio"}),
        (VIDEO, {"frames"}),
        ([pil(ONE)], {"frames"}),
        ([pil(one) for one in VIDEO], {"frames"}),
        (ONE, {"images"}),
        (pil(ONE), {"images"}),
        (torch.zeros(3), {"images"}),
    ],
    ids=[
        "frames",
        "frames and audio",
        "tuple of one",
        "tuple with audio",
        "tuple of tensors with audio",
        "dictionary of videos",
        "dictionary of images and audio",
        "dictionary of audio",
        "five dimensions",
        "PIL of one video",
        "PIL of two videos",
        "four dimensions",
        "PIL of images",
        "values",
    ],
)
def test_each_part_is_found_by_its_name_or_shape(output: Any, parts: set[str]) -> None:
    """Output objects and dictionaries have names; a tuple or an array is known by its dimensions."""
    found = outputs_of(output)

    assert {name for name in ("images", "frames", "audio") if getattr(found, name) is not None} == parts


def test_every_value_of_each_part_is_compared() -> None:
    """A part that was not returned has none."""
    values = named_values(Output(frames=FIRST, audio=SOUND))

    assert {name: one.shape for name, one in values.items()} == {"frames": VIDEO.shape, "audio": (1, 2, 68)}


def test_a_part_of_another_type_is_refused() -> None:
    """As an output without any part."""
    with pytest.raises(ProbeError, match="images must come as tensors, arrays or PIL images, got: str"):
        named_values("a text")
