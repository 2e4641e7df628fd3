"""The processor of text and images of a Qwen2.5-VL text encoder, without torchvision, which the published one needs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers import BatchFeature

_MERGED = 2
_FRAMES = 2
_IMAGE = "<|image_pad|>"
_AROUND = ("<|vision_start|>", "<|vision_end|>")
# The mean and standard deviation of CLIP's training images, which the published processor subtracts and divides by.
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)


class QwenImageProcessor:
    """Turn texts and images into the inputs of a Qwen2.5-VL model, as the published processor does.

    Args:
        tokenizer: the tokenizer of the texts, in which `<|image_pad|>` is one token.
        config: the configuration of the model, with the size of patches and the ids of the tokens around an image.
    """

    def __init__(self, tokenizer: Any, *, config: Any) -> None:
        self.tokenizer = tokenizer
        self.patch_size = int(config.vision_config.patch_size)
        names = {_IMAGE: config.image_token_id, **dict(zip(_AROUND, _ids_around(config), strict=True))}
        self._ids = {tokenizer.convert_tokens_to_ids(name): number for name, number in names.items()}

    def __call__(
        self, text: Sequence[str], images: Sequence[Image.Image], *, padding: bool = True, return_tensors: str = "pt"
    ) -> BatchFeature:
        """Return token ids, patches, and the grid of patches of each image.

        Args:
            text: texts with one `<|image_pad|>` for each image, which becomes as many tokens as the image has.
            images: the images, which every text refers to.
            padding: pad the texts to the same length.
            return_tensors: the kind of tensors.
        """
        patches = [_patches(image, self.patch_size) for image in images]
        grids = [_grid(image, self.patch_size) for image in images]
        spelled = [_with_image_tokens(one, grids) for one in text]
        tokens = self.tokenizer(spelled, padding=padding, return_tensors=return_tensors)
        tokens["input_ids"] = tokens["input_ids"].clone().apply_(lambda number: self._ids.get(number, number))
        of_images = {"pixel_values": np.concatenate(patches * len(text)), "image_grid_thw": np.array(grids * len(text))}
        return BatchFeature({**tokens, **of_images}, tensor_type=return_tensors)


def _ids_around(config: Any) -> tuple[int, int]:
    return config.vision_start_token_id, config.vision_end_token_id


def _with_image_tokens(text: str, grids: Sequence[tuple[int, int, int]]) -> str:
    before, *between = text.split(_IMAGE)
    counts = (frames * height * width // _MERGED**2 for frames, height, width in grids)
    return before + "".join(_IMAGE * count + part for count, part in zip(counts, between, strict=True))


def _grid(image: Image.Image, patch: int) -> tuple[int, int, int]:
    """Return the numbers of frames, rows and columns of patches, of which a token merges two by two."""
    merged = patch * _MERGED
    rows, columns = (_MERGED * max(1, round(side / merged)) for side in (image.height, image.width))
    return 1, rows, columns


def _patches(image: Image.Image, patch: int) -> NDArray[np.float32]:
    """Return the patches, those of one token one after another, each twice: an image is a video of one frame."""
    _frames, rows, columns = _grid(image, patch)
    resized = image.convert("RGB").resize((columns * patch, rows * patch), Image.Resampling.BICUBIC)
    values = (np.asarray(resized, dtype=np.float32) / 255 - _MEAN) / _STD
    cut = values.reshape(rows // _MERGED, _MERGED, patch, columns // _MERGED, _MERGED, patch, 3)
    ordered = cut.transpose(0, 3, 1, 4, 6, 2, 5)[:, :, :, :, :, None]
    repeated = np.broadcast_to(ordered, (*ordered.shape[:5], _FRAMES, *ordered.shape[6:]))
    return repeated.reshape(rows * columns, -1).astype(np.float32, copy=False)
