"""Blueprints: the components of a pipeline at each scale, and how the pipeline is assembled from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import diffusers
import transformers

from pytest_diffopt.pipelines import tiny, tokenizers
from pytest_diffopt.pipelines.instructions import Instruction
from pytest_diffopt.pipelines.processors import QwenImageProcessor
from pytest_diffopt.pipelines.published import build_published
from pytest_diffopt.pipelines.scale import Scale

_CLIP_VOCABULARY = 49408


class Tokenizer(Enum):
    """The tokenizer that a text encoder expects. Each is built by code, so that none is downloaded."""

    BYT5 = auto()
    CLIP = auto()
    OPEN_CLIP = auto()
    GEMMA = auto()
    QWEN = auto()
    QWEN_EDIT = auto()
    QWEN_VIDEO = auto()
    T5 = auto()


_INSTRUCTIONS = {
    Tokenizer.QWEN: Instruction.IMAGE,
    Tokenizer.QWEN_EDIT: Instruction.EDIT,
    Tokenizer.QWEN_VIDEO: Instruction.VIDEO,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One component.

    Attributes:
        full: the published configuration, `repository/component`.
        tiny: the name of the tiny component; empty for a scheduler or guider, the published one at both scales.
        is_trained: whether the tiny component has trained weights; otherwise random ones.
    """

    full: str
    tiny: str = ""
    is_trained: bool = True

    def build(self, scale: Scale) -> Any:
        """Build the component on torch's default device."""
        if scale is Scale.FULL or not self.tiny:
            return build_published(*self.full.split("/"))
        return tiny.build_tiny_component(self.tiny) if self.is_trained else tiny.build_lively_component(self.tiny)


def published_parts(repository: str, tiny_name: str, *names: str, is_trained: bool = False) -> dict[str, Part]:
    """Return the models and the scheduler of one repository, by constructor keyword.

    Args:
        repository: the folder of the published configurations.
        tiny_name: how the names of the tiny components begin: `wan` for `wan-transformer`.
        names: the models.
        is_trained: whether the tiny models have trained weights.
    """
    models = {
        name: Part(full=f"{repository}/{name}", tiny=f"{tiny_name}-{name.replace('_', '-')}", is_trained=is_trained)
        for name in names
    }
    return models | {"scheduler": Part(full=f"{repository}/scheduler")}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Blueprint:
    """How a pipeline is assembled.

    Attributes:
        class_name: the pipeline's class in diffusers.
        parts: models and schedulers by constructor keyword.
        tokenizers: tokenizers by constructor keyword.
        processors: processors of images and text by constructor keyword, with the keyword of their text encoder.
        options: every other constructor keyword.
    """

    class_name: str
    parts: Mapping[str, Part]
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    processors: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_trained(self) -> bool:
        """Whether all tiny components have trained weights."""
        return all(part.is_trained for part in self.parts.values())

    def build_tiny(self) -> Any:
        """Build the pipeline from the tiny components."""
        return self._build(Scale.TINY)

    def build_random(self) -> Any:
        """Build the pipeline from the published architectures, with random weights, on torch's default device."""
        return self._build(Scale.FULL)

    def _build(self, scale: Scale) -> Any:
        parts = {name: part.build(scale) for name, part in self.parts.items()}
        built_tokenizers = {name: _tokenizer(kind, scale) for name, kind in self.tokenizers.items()}
        processors = {
            name: QwenImageProcessor(built_tokenizers["tokenizer"], config=parts[encoder].config)
            for name, encoder in self.processors.items()
        }
        return getattr(diffusers, self.class_name)(**parts, **built_tokenizers, **processors, **self.options)


def _tokenizer(kind: Tokenizer, scale: Scale) -> Any:
    pads_with_end = kind is Tokenizer.CLIP
    if kind in _INSTRUCTIONS:
        return tiny.tiny_qwen_tokenizer(_INSTRUCTIONS[kind])
    if kind is Tokenizer.BYT5:
        return transformers.ByT5Tokenizer()
    if kind is Tokenizer.GEMMA:
        return tokenizers.character_level_gemma_tokenizer()
    if kind is Tokenizer.T5:
        return tiny.tiny_t5_tokenizer() if scale is Scale.TINY else tokenizers.character_level_t5_tokenizer()
    if scale is Scale.TINY:
        return tiny.tiny_clip_tokenizer(pad_with_end=pads_with_end)
    return tokenizers.byte_level_clip_tokenizer(vocab_size=_CLIP_VOCABULARY, pad_with_end=pads_with_end)
