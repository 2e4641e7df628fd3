"""Lessons of the text encoders: to say in every token what the whole prompt asks for.

A denoiser need not learn to read then, as none does whose text encoder was trained before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from pytest_diffopt.pipelines.scenes import COLORS, Place, Scene, Shape, Size
from tools.tiny_training.lesson import Lesson, Models
from tools.tiny_training.scenes import Scenes, imagine_scenes
from tools.tiny_training.text import clip_output, t5_hidden

_SCENES = 50_000
_UNSAID = -100  # what cross entropy leaves out
_ANSWERS: dict[str, list[str]] = {
    "shape": list(Shape),
    "color": list(COLORS),
    "background": list(COLORS),
    "place": list(Place),
    "size": list(Size),
}


@dataclass(kw_only=True)
class ReadingLesson(Lesson):
    """A text encoder; linear readers, thrown away afterwards, answer from its hidden states what the prompt says."""

    learning_rate: float = 2e-3
    batch_size: int = 64

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102, ARG002 - no images are needed
        self.scenes = Scenes(scenes=imagine_scenes(_SCENES, seed=0), images=torch.empty(0))

    def helpers(self, models: Models) -> dict[str, torch.nn.Module]:
        """Return a reader for each kind of hidden state."""
        width = models[self.name].config.hidden_size
        answers = sum(map(len, _ANSWERS.values()))
        return {kind: torch.nn.Linear(width, answers) for kind in ("last", "before", "pooled")}

    def loss(self, models: Models, chosen: torch.Tensor, dice: torch.Generator) -> torch.Tensor:  # noqa: D102
        captions = self.scenes.captions(chosen, dice)
        right = _answers([self.scenes.scenes[number] for number in chosen.tolist()], captions)
        states = self.states(models[self.name], captions, dice)
        return torch.stack([_wrong(models[kind](state), right, where) for kind, state, where in states]).sum()

    def pads_with_end(self, dice: torch.Generator) -> bool:  # noqa: ARG002 - the second encoder knows both ways
        """Tell whether prompts are padded with the token that ends them."""
        return True

    def states(self, encoder: Any, captions: Sequence[str], dice: torch.Generator) -> list[Any]:
        """Return kinds of hidden states (batch, tokens, width), and which tokens have read the whole prompt."""
        output = clip_output(encoder, captions, pad_with_end=self.pads_with_end(dice))
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
    """The second CLIP encoder, whose prompts SDXL pads with another token than the end; SD3 has both ways."""

    def pads_with_end(self, dice: torch.Generator) -> bool:  # noqa: D102
        return bool(torch.rand((), generator=dice) < 0.5)  # noqa: PLR2004 - both alike


@dataclass(kw_only=True)
class T5ReadingLesson(ReadingLesson):
    """The T5 encoder, which every token lets see every other; some pipelines mask the padding, some do not."""

    def states(self, encoder: Any, captions: Sequence[str], dice: torch.Generator) -> list[Any]:  # noqa: D102
        masked = bool(torch.rand((), generator=dice) < 0.5)  # noqa: PLR2004 - both alike
        hidden, mask = t5_hidden(encoder, captions, masked=masked)
        return [("last", hidden, mask.bool() if masked else torch.ones_like(mask).bool())]


def _answers(scenes: Sequence[Scene], captions: Sequence[str]) -> torch.Tensor:
    """Return the number of each right answer, (batch, questions)."""
    rows = [
        [
            _UNSAID if name == "shape" and " shape " in caption else known.index(str(getattr(scene, name)))
            for name, known in _ANSWERS.items()
        ]
        for scene, caption in zip(scenes, captions, strict=True)
    ]
    return torch.tensor(rows)


def _wrong(said: torch.Tensor, right: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the cross entropy of what the chosen tokens say, over all questions."""
    rows = right[:, None].expand(-1, said.shape[1], -1)[where]
    questions = torch.split(said[where], [len(known) for known in _ANSWERS.values()], dim=-1)
    wrong = [functional.cross_entropy(question, rows[:, i]) for i, question in enumerate(questions)]
    return torch.stack(wrong).mean()
