"""The training loop: its optimizers, and resuming after an interruption."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tools.tiny_training import training
from tools.tiny_training.lesson import Lesson, Models
from tools.tiny_training.scenes import Scenes
from tools.tiny_training.training import _optimizers, teach


class Small(torch.nn.Module):
    """A model with blocks, as a denoiser has."""

    def __init__(self) -> None:
        super().__init__()
        self.embedder = torch.nn.Linear(3, 8)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(8, 8), torch.nn.Conv1d(8, 8, 1)])
        self.out = torch.nn.Linear(8, 3)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Run the layers."""
        hidden = torch.relu(self.blocks[0](self.embedder(values)))
        result: torch.Tensor = self.out(self.blocks[1](hidden[..., None])[..., 0])
        return result


class SmallLesson(Lesson):
    """Learns to reverse three numbers; interrupted before a step."""

    interrupted_before = -1
    seen = 0

    def begin(self, models: Models, cache: Path) -> None:  # noqa: ARG002
        """Draw no images."""
        self.scenes = Scenes(scenes=[None] * 4, images=torch.empty(0))  # type: ignore[list-item]

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002
        """Return the squared error."""
        if self.seen == self.interrupted_before:
            raise KeyboardInterrupt
        self.seen += 1
        values = torch.randn(4, 3, generator=generator)
        error: torch.Tensor = (models[self.name](values) - values.flip(-1)).square().mean()
        return error


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Replace the model, and collect the weights instead of writing them into the package."""
    weights: list[dict[str, torch.Tensor]] = []

    def build(name: str) -> Small:  # noqa: ARG001
        torch.manual_seed(3)
        return Small()

    monkeypatch.setattr(training, "build_untrained", build)
    monkeypatch.setattr(training, "ship", lambda _, model, **__: weights.append(model.state_dict()))
    return weights


@pytest.mark.parametrize("muon_rate", [0.0, 0.01])
def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, shipped: list[dict[str, torch.Tensor]], muon_rate: float
) -> None:
    """It resumes with the parameters, the averages and the optimizers' states of the last checkpoint."""
    options: dict[str, Any] = {"name": "small", "steps": 6, "batch_size": 2, "muon_rate": muon_rate}
    (tmp_path / "whole").mkdir()
    teach(SmallLesson(**options), cache=tmp_path / "whole", save_every=2)
    interrupted = SmallLesson(**options)
    interrupted.interrupted_before = 5
    with pytest.raises(KeyboardInterrupt):
        teach(interrupted, cache=tmp_path, save_every=2)
    rest = SmallLesson(**options)
    teach(rest, cache=tmp_path, save_every=2)

    whole, resumed = shipped
    assert rest.seen == 2
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_muon_trains_the_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    """Each parameter has one optimizer."""
    model = Small()
    adamw, muon = _optimizers(SmallLesson(name="small", muon_rate=0.01), [model])
    by_adamw, by_muon = (optimizer.param_groups[0]["params"] for optimizer in (adamw, muon))

    assert isinstance(muon, torch.optim.Muon)
    assert [id(one) for one in by_muon] == [id(model.blocks[0].weight)]
    assert {id(one) for one in by_adamw} == {id(one) for one in model.parameters()} - {id(by_muon[0])}


def test_adamw_trains_everything_without_a_rate_for_muon() -> None:
    """Most lessons use it alone."""
    model = Small()
    [adamw] = _optimizers(SmallLesson(name="small"), [model])

    assert isinstance(adamw, torch.optim.AdamW)
    assert len(adamw.param_groups[0]["params"]) == len(list(model.parameters()))


def test_both_optimizers_start_slowly_and_end_slowly(shipped: list[dict[str, torch.Tensor]], tmp_path: Path) -> None:
    """Each has the schedule of its own highest rate."""
    rates: list[list[float]] = []

    class Noted(SmallLesson):
        def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            rates.append([group["lr"] for optimizer in optimizers for group in optimizer.param_groups])
            return super().loss(models, chosen, generator)

    lesson = Noted(name="small", steps=600, batch_size=2, learning_rate=1e-3, muon_rate=1e-2)
    course = training._begin(lesson)
    optimizers = course.optimizers
    lesson.begin(course.models, tmp_path)
    for step in (0, 300, 599):
        course.step = step
        training._take_step(course)

    assert not shipped
    assert rates[0] == pytest.approx([5e-6, 5e-5])
    assert rates[1] == pytest.approx([5.1e-4, 5.1e-3])
    assert rates[2] == pytest.approx([2e-5, 2e-4], rel=0.01)
