"""Tests of the conversion of images to float64 arrays in [0, 1], channels last."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.image_arrays import images_of, values_of

HEIGHT, WIDTH = 6, 8
LEVELS = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
EXPECTED = LEVELS[np.newaxis] / 255.0
PIL_IMAGE = Image.fromarray(LEVELS)
TENSOR = torch.from_numpy(EXPECTED[0]).permute(2, 0, 1)


@pytest.mark.parametrize(
    "output",
    [
        LEVELS,
        EXPECTED,
        EXPECTED[0],
        [EXPECTED[0]],
        [EXPECTED],
        PIL_IMAGE,
        [PIL_IMAGE],
        (PIL_IMAGE,),
        TENSOR,
        TENSOR[None],
        [TENSOR],
        torch.from_numpy(LEVELS).permute(2, 0, 1),
        TENSOR.clone().requires_grad_(),
        EXPECTED[0].transpose(2, 0, 1),
        TENSOR.permute(1, 2, 0),
        SimpleNamespace(images=[PIL_IMAGE]),
        SimpleNamespace(images=EXPECTED),
    ],
    ids=[
        "uint8 array",
        "batch",
        "array",
        "list of arrays",
        "list of a batch",
        "PIL",
        "list of PIL",
        "tuple of PIL",
        "tensor",
        "tensor batch",
        "list of tensors",
        "uint8 tensor",
        "tensor with gradient",
        "array, channels first",
        "tensor, channels last",
        "output of PIL",
        "output of arrays",
    ],
)
def test_every_form_is_converted_to_the_same_array(output: Any) -> None:
    """uint8 values are divided by 255, floating-point values are kept, channels are last."""
    images = images_of(output)

    assert images.dtype == np.float64
    assert images.shape == (1, HEIGHT, WIDTH, 3)
    assert np.array_equal(EXPECTED, images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_precision_is_converted_to_float64(dtype: torch.dtype) -> None:
    """0.5 is exact in each of them; numpy has no bfloat16."""
    images = images_of(torch.full((2, 3, HEIGHT, WIDTH), 0.5, dtype=dtype))

    assert images.shape == (2, HEIGHT, WIDTH, 3)
    assert (images == 0.5).all()


@pytest.mark.parametrize("output", [[PIL_IMAGE, PIL_IMAGE], [TENSOR, TENSOR], torch.stack([TENSOR] * 2)])
def test_a_batch_keeps_its_order_and_number(output: Any) -> None:
    """The batch size is that of the output."""
    assert images_of(output).shape == (2, HEIGHT, WIDTH, 3)


def test_other_numbers_of_channels_are_kept() -> None:
    """Four with alpha, or one."""
    assert images_of(Image.fromarray(LEVELS).convert("RGBA")).shape == (1, HEIGHT, WIDTH, 4)
    assert images_of(torch.zeros(1, 1, HEIGHT, WIDTH)).shape == (1, HEIGHT, WIDTH, 1)


def test_a_gray_image_has_one_channel() -> None:
    """PIL's array has no channel dimension."""
    assert images_of(PIL_IMAGE.convert("L")).shape == (1, HEIGHT, WIDTH, 1)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """PIL opens it, and fails when the pixels are read."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:1000])

    with (
        Image.open(tmp_path / "half.png") as image,
        pytest.raises(ProbeError, match=r"a PIL image cannot be read: \w+"),
    ):
        images_of(image)


def test_values_may_have_any_shape() -> None:
    """Vectors and sequences of hidden states can be compared too."""
    assert np.array_equal([1.0, 2.0], values_of(torch.tensor([1.0, 2.0])))
    assert values_of(torch.zeros(1, 77, 32)).size == 77 * 32


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("a text", "images must come as tensors, arrays or PIL images, got: str"),
        ([], "images must come as tensors, arrays or PIL images, got: list"),
        (None, "images must come as tensors, arrays or PIL images, got: NoneType"),
        ([LEVELS, 3], "images must come as tensors, arrays or PIL images, got: int"),
        (
            [np.zeros((4, 4, 3)), np.zeros((4, 5, 3))],
            "all images of a batch must have the same size, got: (4, 4, 3), (4, 5, 3)",
        ),
        (
            np.zeros((4, 4)),
            "images must have the shape (number, height, width, channels), got: (4, 4)",
        ),
        (
            np.zeros((1, 5, 16, 16)),
            "images must have the shape (number, height, width, channels), got: (1, 5, 16, 16)",
        ),
        (np.zeros((16, 16, 3), dtype=np.uint16), "images must be uint8, or floating-point in [0, 1], got: uint16"),
        (np.zeros((16, 16, 3), dtype=bool), "images must be uint8, or floating-point in [0, 1], got: bool"),
        (
            torch.zeros(3, 16, 16, dtype=torch.int32),
            "images must be uint8, or floating-point in [0, 1], got: torch.int32",
        ),
        (
            PIL_IMAGE.convert("P"),
            "PIL images must have eight bits per channel (L, LA, RGB, RGBA), got: mode 'P'; "
            'convert it: image.convert("RGB")',
        ),
        (
            Image.new("I;16", (16, 16)),
            "PIL images must have eight bits per channel (L, LA, RGB, RGBA), got: mode 'I;16'; "
            'convert it: image.convert("RGB")',
        ),
        (
            np.zeros((0, 16, 16, 3)),
            "images must have the shape (number, height, width, channels), got: (0, 16, 16, 3)",
        ),
        (
            np.zeros((1, 2, 16, 16, 3)),
            "images must have the shape (number, height, width, channels), got: (1, 2, 16, 16, 3)",
        ),
    ],
)
def test_an_output_without_images_is_refused(output: Any, message: str) -> None:
    """The message states the rule and the value."""
    with pytest.raises(ProbeError) as error:
        images_of(output)

    assert str(error.value) == message
