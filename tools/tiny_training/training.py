"""Trains a lesson, resuming after an interruption, and writes the weights into the package."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pytest_diffopt.pipelines.tiny import build_tiny_component, build_untrained
from tools.tiny_training.lesson import Lesson
from tools.tiny_training.shipping import ship

SEED = 0
_WARM_UP_STEPS = 200
_HIGHEST_EMA = 0.999
_GRADIENT_NORM = 1.0
_LOWEST_RATE = 0.02
_WEIGHT_DECAY = 1e-2
_MATRIX = 2  # dimensions
_SMOOTHING = 0.99


@dataclass(kw_only=True)
class Course:
    """The state of a training run.

    Attributes:
        lesson: the lesson.
        models: every component by name, including those that are not trained.
        averages: a moving average of each trained parameter, which the package ships.
        optimizers: of the trained parameters; each group of parameters has its highest learning rate as `highest`.
        step: the number of completed steps.
        loss: a moving average of the loss.
    """

    lesson: Lesson
    models: Mapping[str, Any]
    averages: dict[str, dict[str, torch.Tensor]]
    optimizers: Sequence[torch.optim.Optimizer]
    step: int = 0
    loss: float = field(default=math.nan)


def teach(lesson: Lesson, *, cache: Path, save_every: int = 250) -> None:
    """Train a lesson's component to the end and write its weights into the package.

    Args:
        lesson: the lesson.
        cache: the folder for latents and for the state of interrupted lessons.
        save_every: the number of steps between checkpoints.
    """
    torch.manual_seed(SEED)
    course = _begin(lesson)
    saved = cache / f"{lesson.name}.pt"
    if saved.exists():
        _resume(course, saved)
    lesson.begin(course.models, cache)
    with tqdm(total=lesson.steps, initial=course.step, desc=lesson.name, mininterval=5) as bar:
        while course.step < lesson.steps:
            _take_step(course)
            bar.update()
            bar.set_postfix(loss=f"{course.loss:.4f}", refresh=False)
            if course.step % save_every == 0:
                _save(course, saved)
    _finish(course)


def _begin(lesson: Lesson) -> Course:
    models = {lesson.name: build_untrained(lesson.name).train()}
    if lesson.starts_from:
        _copy_parameters(models[lesson.name], build_tiny_component(lesson.starts_from))
    helpers = lesson.helpers(models)
    optimizers = _optimizers(lesson, list((models | helpers).values()))
    models |= helpers
    models |= {name: build_tiny_component(name).requires_grad_(False) for name in lesson.uses}  # noqa: FBT003 - torch's
    averages = {
        lesson.name: {key: value.clone() for key, value in models[lesson.name].state_dict().items()},
    }
    return Course(lesson=lesson, models=models, averages=averages, optimizers=optimizers)


def _optimizers(lesson: Lesson, trained: Sequence[torch.nn.Module]) -> list[torch.optim.Optimizer]:
    """Return AdamW, and Muon for the blocks' matrices if the lesson uses it.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """
    parameters = dict.fromkeys(parameter for module in trained for parameter in module.parameters())
    matrices = _matrices_of_blocks(trained) if lesson.muon_rate else []
    rest = [parameter for parameter in parameters if all(parameter is not matrix for matrix in matrices)]
    adamw = torch.optim.AdamW(
        [{"params": rest, "highest": lesson.learning_rate}], betas=(0.9, 0.99), weight_decay=_WEIGHT_DECAY
    )
    if not matrices:
        return [adamw]
    muon = torch.optim.Muon(
        [{"params": matrices, "highest": lesson.muon_rate}],
        weight_decay=_WEIGHT_DECAY,
        adjust_lr_fn="match_rms_adamw",
    )
    return [adamw, muon]


def _matrices_of_blocks(modules: Sequence[torch.nn.Module]) -> list[torch.nn.Parameter]:
    lists = [child for module in modules for child in module.children() if isinstance(child, torch.nn.ModuleList)]
    return [parameter for blocks in lists for parameter in blocks.parameters() if parameter.ndim == _MATRIX]


def _copy_parameters(model: Any, other: Any) -> None:
    """Copy parameters by name; for different sizes copy the common part and set the rest to zero."""
    source = other.state_dict()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            given = source.get(name)
            if given is None:
                continue
            common = tuple(slice(min(sizes)) for sizes in zip(parameter.shape, given.shape, strict=True))
            parameter.zero_()
            parameter[common] = given[common]


def _take_step(course: Course) -> None:
    lesson = course.lesson
    generator = torch.Generator().manual_seed(SEED + course.step)
    chosen = torch.randint(len(lesson.scenes.scenes), (lesson.batch_size,), generator=generator)
    groups = [group for optimizer in course.optimizers for group in optimizer.param_groups]
    for group in groups:
        group["lr"] = group["highest"] * _rate(course.step, lesson.steps)
    loss = lesson.loss(course.models, chosen, generator)
    for optimizer in course.optimizers:
        optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([one for group in groups for one in group["params"]], _GRADIENT_NORM)
    for optimizer in course.optimizers:
        optimizer.step()
    course.step += 1
    course.loss = loss.item() if math.isnan(course.loss) else _SMOOTHING * course.loss + (1 - _SMOOTHING) * loss.item()
    _average(course)


def _rate(step: int, steps: int) -> float:
    """Return the factor on the learning rate: a linear warm-up, then half a cosine."""
    warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
    return warm_up * (_LOWEST_RATE + (1 - _LOWEST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2)


@torch.no_grad()
def _average(course: Course) -> None:
    keep = min(_HIGHEST_EMA, (1 + course.step) / (10 + course.step))
    for name, averages in course.averages.items():
        for key, value in course.models[name].state_dict().items():
            averages[key].lerp_(value, 1 - keep) if value.is_floating_point() else averages[key].copy_(value)


def _save(course: Course, path: Path) -> None:
    state = {
        "models": {name: model.state_dict() for name, model in course.models.items() if name not in course.lesson.uses},
        "averages": course.averages,
        "optimizers": [optimizer.state_dict() for optimizer in course.optimizers],
        "step": course.step,
        "loss": course.loss,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)  # noqa: PTH105 - atomic, so that an interruption leaves the old file


def _resume(course: Course, path: Path) -> None:
    state = torch.load(path, weights_only=True)
    for name, parameters in state["models"].items():
        course.models[name].load_state_dict(parameters)
    for optimizer, given in zip(course.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(given)
    course.averages, course.step, course.loss = state["averages"], state["step"], state["loss"]


def _finish(course: Course) -> None:
    for name, averages in course.averages.items():
        course.models[name].load_state_dict(averages)
    course.lesson.finish(course.models)
    name = course.lesson.name
    ship(name, course.models[name], lesson=course.lesson, loss=course.loss, seed=SEED)
