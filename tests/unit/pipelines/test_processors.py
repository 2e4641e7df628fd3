"""The processor of text and images gives the inputs of the published one, which needs torchvision."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from pytest_diffopt.pipelines.processors import QwenImageProcessor
from pytest_diffopt.pipelines.tokenizers import byte_level_qwen_tokenizer

CONFIG = SimpleNamespace(
    vision_config=SimpleNamespace(patch_size=14),
    image_token_id=151655,
    vision_start_token_id=151652,
    vision_end_token_id=151653,
)
ONE = "a<|vision_start|><|image_pad|><|vision_end|>"


def drawn_image(width: int, height: int) -> Image.Image:
    """Return an image in which every pixel differs."""
    values = np.arange(width * height * 3, dtype=np.int64).reshape(height, width, 3) * 37 % 256
    return Image.fromarray(values.astype(np.uint8))


@pytest.fixture
def processor() -> Any:
    """Build the processor of a model with the published ids."""
    return QwenImageProcessor(byte_level_qwen_tokenizer(), config=CONFIG)


@pytest.mark.parametrize("size", [(392, 392), (112, 56), (384, 384)], ids=str)
def test_patches_and_grid_are_those_of_transformers(processor: Any, size: tuple[int, int]) -> None:
    """Also for an image that is enlarged to whole tokens."""
    image = drawn_image(*size)
    ours, theirs = processor([ONE], [image]), Qwen2VLImageProcessorPil()(images=[image], return_tensors="pt")

    assert torch.equal(ours["image_grid_thw"], theirs["image_grid_thw"])
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], atol=1e-5)


def test_each_image_has_as_many_tokens_as_merged_patches(processor: Any) -> None:
    """The ids around an image are those of the model, which finds the image by them."""
    inputs = processor([ONE * 2], [drawn_image(112, 56), drawn_image(56, 56)])
    ids = inputs["input_ids"][0].tolist()

    assert ids == [
        *(64, 151652, *[151655] * 8, 151653),
        *(64, 151652, *[151655] * 4, 151653),
    ]
    assert inputs["image_grid_thw"].tolist() == [[1, 4, 8], [1, 4, 4]]
    assert inputs["pixel_values"].shape == (32 + 16, 3 * 2 * 14 * 14)
