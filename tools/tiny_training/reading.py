"""Lessons of the text encoders: every token's hidden state must encode the content of the whole prompt.

The denoisers then need not learn to read the prompt, as with any pretrained text encoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from pytest_diffopt.pipelines.scenes import COLORS, Place, Scene, Shape, Size
from tools.tiny_training.lesson import Lesson, Models
from tools.tiny_training.scenes import Scenes, random_scenes
from tools.tiny_training.text import clip_output, qwen_output, t5_hidden

_SCENES = 50_000
_TEMPLATE_END = 5  # tokens of Qwen's template after the prompt
_IGNORED = -100  # the target that cross entropy ignores


@dataclass(kw_only=True)
class ReadingLesson(Lesson):
    """A text encoder, trained with linear probes that predict the prompt's content and are discarded afterwards."""

    learning_rate: float = 2e-3
    batch_size: int = 64

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102, ARG002 - no images are needed
        self.scenes = Scenes(scenes=random_scenes(_SCENES, seed=0), images=torch.empty(0))

    def helpers(self, models: Models) -> dict[str, torch.nn.Module]:
        """Return a linear probe for each kind of hidden state."""
        width = models[self.name].config.hidden_size
        answers = sum(map(len, self.properties().values()))
        return {kind: torch.nn.Linear(width, answers) for kind in self.kinds()}

    def properties(self) -> dict[str, list[str]]:
        """Return the possible values of each property of a scene that hidden states must encode."""
        return {
            "shape": list(Shape),
            "color": list(COLORS),
            "background": list(COLORS),
            "place": list(Place),
            "size": list(Size),
        }

    def kinds(self) -> tuple[str, ...]:
        """Return the names of the kinds of hidden states."""
        return ("last", "before", "pooled")

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: D102
        captions = self.scenes.captions(chosen, generator)
        known = self.properties()
        right = _answers([self.scenes.scenes[number] for number in chosen.tolist()], captions, known)
        sizes = [len(values) for values in known.values()]
        states = self.states(models[self.name], captions, generator)
        losses = [_probe_loss(models[kind](state), right, where, sizes) for kind, state, where in states]
        return torch.stack(losses).sum()

    def pads_with_end(self, generator: torch.Generator) -> bool:  # noqa: ARG002 - the second encoder uses both paddings
        """Return whether prompts are padded with the end token."""
        return True

    def states(self, encoder: Any, captions: Sequence[str], generator: torch.Generator) -> list[Any]:
        """Return kinds of hidden states (batch, tokens, width), and a mask of the tokens that see the whole prompt."""
        output = clip_output(encoder, captions, pad_with_end=self.pads_with_end(generator))
        end = torch.tensor([len(caption.replace(",", " ,").split()) + 1 for caption in captions])
        read = torch.arange(output.last_hidden_state.shape[1]) >= end[:, None]
        pooled = output.text_embeds if hasattr(output, "text_embeds") else output.pooler_output
        return [
            ("last", output.last_hidden_state, read),
            ("before", output.hidden_states[-2], read),
            ("pooled", pooled[:, None], torch.ones(len(captions), 1, dtype=torch.bool)),
        ]


@dataclass(kw_only=True)
class SecondReadingLesson(ReadingLesson):
    """The second CLIP encoder: SDXL does not pad its prompts with the end token, SD3 uses both paddings."""

    def pads_with_end(self, generator: torch.Generator) -> bool:  # noqa: D102
        return bool(torch.rand((), generator=generator) < 0.5)  # noqa: PLR2004 - equal probability


@dataclass(kw_only=True)
class T5ReadingLesson(ReadingLesson):
    """The T5 encoder, whose attention is bidirectional; some pipelines mask the padding, some do not."""

    def states(self, encoder: Any, captions: Sequence[str], generator: torch.Generator) -> list[Any]:  # noqa: D102
        masked = bool(torch.rand((), generator=generator) < 0.5)  # noqa: PLR2004 - equal probability
        hidden, mask = t5_hidden(encoder, captions, masked=masked)
        return [("last", hidden, mask.bool() if masked else torch.ones_like(mask).bool())]


@dataclass(kw_only=True)
class QwenReadingLesson(ReadingLesson):
    """Z-Image's Qwen3 encoder, of which the pipeline uses the hidden states before the last layer.

    Attention is causal: only the tokens of the template after the prompt see all of it.
    """

    def kinds(self) -> tuple[str, ...]:  # noqa: D102
        return ("before",)

    def states(self, encoder: Any, captions: Sequence[str], generator: torch.Generator) -> list[Any]:  # noqa: D102, ARG002
        output, mask = qwen_output(encoder, captions)
        after = mask & (mask.sum(1, keepdim=True) - mask.cumsum(1) < _TEMPLATE_END)
        return [("before", output.hidden_states[-2], after)]


def _answers(scenes: Sequence[Scene], captions: Sequence[str], known: Mapping[str, list[str]]) -> torch.Tensor:
    """Return the class index of each property, (batch, properties)."""
    rows = [
        [
            _IGNORED if name == "shape" and " shape " in caption else values.index(str(getattr(scene, name)))
            for name, values in known.items()
        ]
        for scene, caption in zip(scenes, captions, strict=True)
    ]
    return torch.tensor(rows)


def _probe_loss(logits: torch.Tensor, right: torch.Tensor, where: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Return the mean cross entropy of the selected tokens over all properties."""
    rows = right[:, None].expand(-1, logits.shape[1], -1)[where]
    properties = torch.split(logits[where], list(sizes), dim=-1)
    losses = [functional.cross_entropy(one, rows[:, i]) for i, one in enumerate(properties)]
    return torch.stack(losses).mean()
