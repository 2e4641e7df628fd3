"""Which component stands for each part of a pipeline, at both scales, and how the pipeline is put together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from pytest_diffopt.pipelines.published import build_published
from pytest_diffopt.pipelines.scale import Scale

_CLIP_VOCABULARY = 49408


class Tokenizer(Enum):
    """Which tokenizer a text encoder expects; each is made by code, so that none is downloaded."""

    CLIP = auto()
    OPEN_CLIP = auto()
    T5 = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One component.

    Attributes:
        full: its published configuration, `repository/component`.
        tiny: the name of its tiny twin; empty for a scheduler, which is the published one at both scales.
    """

    full: str
    tiny: str = ""

    def build(self, scale: Scale) -> Any:
        """Build it on torch's default device."""
        if scale is Scale.FULL or not self.tiny:
            return build_published(*self.full.split("/"))
        from pytest_diffopt.pipelines.tiny import build_tiny_component  # noqa: PLC0415 - imports torch

        return build_tiny_component(self.tiny)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Blueprint:
    """How a pipeline is put together.

    Attributes:
        class_name: its class in diffusers.
        parts: its models and schedulers by the names of the constructor.
        tokenizers: its tokenizers by the names of the constructor.
        options: every other keyword of the constructor.
    """

    class_name: str
    parts: Mapping[str, Part]
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def build_tiny(self) -> Any:
        """Build it of the trained tiny components."""
        return self._build(Scale.TINY)

    def build_random(self) -> Any:
        """Build it of the published architectures, with random weights, on torch's default device."""
        return self._build(Scale.FULL)

    def _build(self, scale: Scale) -> Any:
        import diffusers  # noqa: PLC0415 - slow to import

        parts = {name: part.build(scale) for name, part in self.parts.items()}
        tokenizers = {name: _tokenizer(kind, scale) for name, kind in self.tokenizers.items()}
        return getattr(diffusers, self.class_name)(**parts, **tokenizers, **self.options)


def _tokenizer(kind: Tokenizer, scale: Scale) -> Any:
    from pytest_diffopt.pipelines import tiny, tokenizers  # noqa: PLC0415 - only a build needs them

    pads_with_end = kind is Tokenizer.CLIP
    if kind is Tokenizer.T5:
        return tiny.tiny_t5_tokenizer() if scale is Scale.TINY else tokenizers.character_level_t5_tokenizer()
    if scale is Scale.TINY:
        return tiny.tiny_clip_tokenizer(pad_with_end=pads_with_end)
    return tokenizers.byte_level_clip_tokenizer(vocab_size=_CLIP_VOCABULARY, pad_with_end=pads_with_end)
