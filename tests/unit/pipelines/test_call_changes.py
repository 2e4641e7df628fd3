"""Variations that keywords alone do not make change the pipeline for one call, and put it back."""

import contextlib
from typing import Any

import pytest
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.call_changes import (
    another_scheduler,
    lora_scaled,
    lora_variations,
    shape_variations,
    with_changes,
)
from pytest_diffopt.pipelines.inputs import PipelineInputs


class Pipeline:
    """What a scheduler's change needs of one."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler


class PipelineWithLora:
    """What a LoRA's scale needs of one."""

    def __init__(self) -> None:
        self.scales: list[tuple[str, float]] = []

    def get_active_adapters(self) -> list[str]:
        """Return the only one."""
        return ["style"]

    def set_adapters(self, name: str, scale: float) -> None:
        """Keep what was set."""
        self.scales.append((name, scale))


PLAIN = PipelineInputs({"prompt": "a circle", "guidance_scale": 5.0, "height": 64})


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, DDIMScheduler])
def test_another_scheduler_is_there_for_the_block_alone(kind: Any) -> None:
    """Of another class, with timesteps of the same dtype; also a failure puts the old one back."""
    pipeline = Pipeline(kind())
    original = pipeline.scheduler
    with contextlib.suppress(ZeroDivisionError), another_scheduler()(pipeline):
        other = pipeline.scheduler
        1 // 0  # noqa: B018 - it raises
    for scheduler in (original, other):
        scheduler.set_timesteps(2)

    assert pipeline.scheduler is original
    assert type(other) is not kind
    assert other.timesteps.dtype == original.timesteps.dtype


def test_a_scheduler_can_be_named() -> None:
    """With the settings of the one that is there."""
    pipeline = Pipeline(EulerDiscreteScheduler(beta_end=0.01))
    with another_scheduler("DDIMScheduler")(pipeline):
        assert type(pipeline.scheduler) is DDIMScheduler
        assert pipeline.scheduler.config.beta_end == 0.01


def test_an_unknown_scheduler_is_an_error() -> None:
    """With the nearest known one."""
    message = r"diffusers has no scheduler 'DDIMSchedular' \(did you mean 'DDIMScheduler'\?\)"
    with pytest.raises(PipelineError, match=message), another_scheduler("DDIMSchedular")(Pipeline(DDIMScheduler())):
        pass


def test_a_loras_scale_is_set_for_the_block_alone() -> None:
    """Back to full strength afterwards."""
    pipeline = PipelineWithLora()
    with lora_scaled(0.5, adapter="style")(pipeline):
        during = list(pipeline.scales)

    assert during == [("style", 0.5)]
    assert pipeline.scales[-1] == ("style", 1.0)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (PipelineWithLora(), r"no LoRA 'styl' is active \(did you mean 'style'\?\); active: style"),
        (Pipeline(None), "a LoRA's scale needs a pipeline that can load one, got: Pipeline"),
    ],
)
def test_a_lora_that_is_not_there_is_an_error(pipeline: Any, message: str) -> None:
    """With what is there."""
    with pytest.raises(PipelineError, match=message), lora_scaled(0.5, adapter="styl")(pipeline):
        pass


def test_keyword_variations_gain_another_scheduler() -> None:
    """None of them changes a shape."""
    varied = with_changes((PLAIN, PLAIN.varied("another seed", seed=1)))

    assert [one.label for one in varied] == ["", "another seed", "another scheduler"]
    assert not any(one.changes_shape for one in varied)
    assert varied[-1].change is not None


def test_calls_of_other_shapes_are_reported() -> None:
    """All but the plain one."""
    varied = shape_variations(PLAIN)

    assert [(one.label, one.changes_shape) for one in varied] == [
        ("", False),
        ("without guidance", True),
        ("two images", True),
        ("height=96", True),
    ]
    assert varied[1]["guidance_scale"] == 1.0
    assert varied[3]["height"] == 96


def test_what_the_plain_call_does_not_have_is_not_varied() -> None:
    """A pipeline without guidance has none to switch off."""
    assert [one.label for one in shape_variations(PipelineInputs({"guidance_scale": 1.0}))] == [""]


def test_lora_variations_are_calls_with_a_change() -> None:
    """One a scale."""
    assert [one.label for one in lora_variations(PLAIN, adapter="style")] == ["LoRA scale 1.0", "LoRA scale 0.5"]
