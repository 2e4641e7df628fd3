"""Tests of recording and comparing the latents of each step."""

import contextlib
import inspect
import math
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.latents import compare_latents, drift, latents_of, watch_latents


class Scheduler:
    """A scheduler that halves the latents in place."""

    def step(self, latents: torch.Tensor, generator: object = None, *, return_dict: bool = True) -> Any:
        """Make one step."""
        assert generator is None
        latents.div_(2)
        return SimpleNamespace(prev_sample=latents) if return_dict else (latents,)


def pipeline(**components: Any) -> SimpleNamespace:
    """Return an object with components."""
    return SimpleNamespace(components=components)


@pytest.mark.parametrize("return_dict", [True, False])
def test_each_step_is_copied(*, return_dict: bool) -> None:
    """For both return types of a scheduler; the next step writes to the same memory."""
    scheduler, latents = Scheduler(), torch.full((1, 4, 2, 2), 8.0)
    with watch_latents(pipeline(scheduler=scheduler)) as seen:
        scheduler.step(latents, return_dict=return_dict)
        scheduler.step(latents, return_dict=return_dict)

    assert [float(step.mean()) for step in seen] == [4.0, 2.0]


def test_the_signature_of_a_step_is_kept() -> None:
    """Diffusers pipelines inspect it for the parameter `generator`."""
    scheduler = Scheduler()
    with watch_latents(pipeline(scheduler=scheduler)):
        assert "generator" in inspect.signature(scheduler.step).parameters


def test_the_scheduler_is_restored() -> None:
    """Also after an error, and with a `step` set by the user."""
    scheduler, own = Scheduler(), Scheduler()
    vars(own)["step"] = len
    with contextlib.suppress(ZeroDivisionError), watch_latents(pipeline(scheduler=scheduler, scheduler_2=own)):
        _ = 1 / 0

    assert vars(scheduler) == {}
    assert vars(own) == {"step": len}


def test_every_scheduler_of_a_chain_is_recorded_once() -> None:
    """Stages may share a scheduler; a module is not a scheduler."""
    first, shared, module = Scheduler(), Scheduler(), torch.nn.Linear(1, 1)
    chain = pipeline(scheduler_1=first, scheduler_2=shared, scheduler_3=shared, unet=module)
    with watch_latents(chain) as seen:
        first.step(torch.ones(1))
        shared.step(torch.ones(2))

    assert [len(step) for step in seen] == [1, 2]


def test_nothing_is_recorded_without_a_scheduler() -> None:
    """The target is a bare function."""
    with watch_latents(len) as seen:
        assert not seen


def test_drift_equals_a_manual_calculation() -> None:
    """(3, 4) and (3, 0): the norm of the difference is 4, that of the reference 3, the cosine 3/5."""
    ours = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    theirs = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    (found,) = drift([ours], [theirs])

    assert found.step == 0
    assert found.relative_error == pytest.approx(4 / 3)
    assert found.cosine == pytest.approx(0.6)


def test_equal_latents_do_not_drift() -> None:
    """Exactly, also for zeros."""
    for latents in (torch.randn(2, 4, 3, 3), torch.zeros(2, 4)):
        (found,) = drift([latents], [latents.clone()])
        assert (found.cosine, found.relative_error) == (1.0, 0.0)


def test_drift_ends_at_the_last_comparable_step() -> None:
    """At the end of the shorter call, or before the first step with different shapes."""
    one = torch.ones(1, 4)

    assert len(drift([one, one, one], [one, one])) == 2
    assert len(drift([one, torch.ones(1, 5)], [one, one])) == 1


def test_a_nan_is_the_worst_step() -> None:
    """In any image of the batch."""
    broken = torch.tensor([[1.0, 1.0], [math.nan, 1.0]])
    (found,) = drift([broken], [torch.ones(2, 2)])

    assert math.isnan(found.relative_error)
    assert math.isnan(found.cosine)


LATENTS = torch.linspace(-3, 3, 4 * 16 * 16).reshape(1, 4, 16, 16)


@pytest.mark.parametrize(
    ("output", "inputs", "are_latents"),
    [
        (LATENTS, None, True),
        (SimpleNamespace(images=LATENTS), None, True),
        ([LATENTS], None, True),
        (torch.rand(1, 16, 8, 8), None, True),
        (torch.rand(1, 64, 64), {"output_type": "latent"}, True),
        (torch.rand(1, 3, 16, 16), {"output_type": "pt"}, False),
        (torch.rand(1, 3, 16, 16) - 0.5, None, False),
        (torch.rand(1, 4, 16, 16), None, False),
        (torch.rand(1, 16, 16, 4) * 2, None, False),
        (LATENTS.numpy(), None, False),
        (LATENTS.byte(), None, False),
    ],
    ids=[
        "four channels",
        "an output",
        "a list of one",
        "sixteen channels",
        "packed latents, requested",
        "images, requested",
        "images out of range",
        "RGBA",
        "channels last",
        "an array",
        "bytes",
    ],
)
def test_latents_are_distinguished_from_images(
    output: Any, inputs: dict[str, str] | None, *, are_latents: bool
) -> None:
    """By the requested output type, or by channels and values that no image has."""
    assert (latents_of(output, inputs) is not None) is are_latents


def test_latents_are_compared_one_by_one() -> None:
    """Each has its own figures and defects."""
    ours, theirs = torch.cat([LATENTS, LATENTS * 0 + 2]), torch.cat([LATENTS, LATENTS])
    first, second = compare_latents(ours, theirs)

    assert (first.cosine, first.relative_error, first.max_error, first.defects) == (1.0, 0.0, 0.0, ())
    assert second.max_error == pytest.approx(5.0)
    assert second.defects == ("the latents are constant: every value is 2.000",)


def test_nan_latents_are_a_defect() -> None:
    """They are counted, in the latents and in the reference."""
    broken = LATENTS.clone()
    broken[0, 0, 0, :3] = math.nan
    (ours,), (theirs,) = compare_latents(broken, LATENTS), compare_latents(LATENTS, broken)

    assert ours.defects == ("the latents hold 3 values that are NaN or infinite",)
    assert theirs.defects == ("the reference latents hold 3 values that are NaN or infinite",)


def test_latents_of_another_shape_are_refused() -> None:
    """The message states both shapes."""
    with pytest.raises(ProbeError) as error:
        compare_latents(LATENTS, LATENTS[..., :8])

    assert str(error.value) == (
        "latents and references must have the same shape, got: (1, 4, 16, 16) and (1, 4, 16, 8)"
    )


def test_a_copy_of_the_scheduler_steps_by_itself_and_is_not_watched() -> None:
    """LTX-2 denoises audio with a copy that it makes inside its call."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    pipeline = SimpleNamespace(components={"scheduler": scheduler})
    with watch_latents(pipeline) as seen:
        scheduler.set_timesteps(2)
        copied = deepcopy(scheduler)
        for timestep in scheduler.timesteps:
            scheduler.step(LATENTS, timestep, LATENTS)
            copied.step(LATENTS, timestep, LATENTS)

    assert len(seen) == 2
    assert (scheduler.step_index, copied.step_index) == (2, 2)
    assert "step" not in vars(scheduler)
