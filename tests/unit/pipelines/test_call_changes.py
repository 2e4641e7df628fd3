"""Variations beyond keywords change the pipeline for one call and restore it."""

import contextlib
from typing import Any

import pytest
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.call_changes import another_scheduler, shape_variations, with_changes
from pytest_diffopt.pipelines.inputs import PipelineInputs


class Pipeline:
    """The part of a pipeline that a change of the scheduler uses."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler


PLAIN = PipelineInputs({"prompt": "a circle", "guidance_scale": 5.0, "height": 64})


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, DDIMScheduler])
def test_another_scheduler_is_set_only_inside_the_block(kind: Any) -> None:
    """It has another class and timesteps of the same dtype. An exception restores the original too."""
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
    """It gets the configuration of the original."""
    pipeline = Pipeline(EulerDiscreteScheduler(beta_end=0.01))
    with another_scheduler("DDIMScheduler")(pipeline):
        assert type(pipeline.scheduler) is DDIMScheduler
        assert pipeline.scheduler.config.beta_end == 0.01


def test_an_unknown_scheduler_is_an_error() -> None:
    """The message suggests the closest name."""
    message = r"diffusers has no scheduler 'DDIMSchedular' \(did you mean 'DDIMScheduler'\?\)"
    with pytest.raises(PipelineError, match=message), another_scheduler("DDIMSchedular")(Pipeline(DDIMScheduler())):
        pass


def test_keyword_variations_gain_another_scheduler() -> None:
    """No variation changes a shape."""
    varied = with_changes((PLAIN, PLAIN.varied("another seed", seed=1)))

    assert [one.label for one in varied] == ["", "another seed", "another scheduler"]
    assert not any(one.changes_shape for one in varied)
    assert varied[-1].change is not None


def test_shape_variations_are_marked_as_changing_shapes() -> None:
    """All but the plain call are."""
    varied = shape_variations(PLAIN)

    assert [(one.label, one.changes_shape) for one in varied] == [
        ("", False),
        ("without guidance", True),
        ("two images", True),
        ("height=96", True),
    ]
    assert varied[1]["guidance_scale"] == 1.0
    assert varied[3]["height"] == 96


def test_the_frames_of_a_video_are_varied() -> None:
    """A video's batch has another keyword, and its frames stay one more than a multiple."""
    varied = shape_variations(PipelineInputs({"prompt": "a", "num_frames": 9, "height": 32}))

    assert [one.label for one in varied] == ["", "num_frames=17", "two videos", "height=48"]
    assert (varied[1]["num_frames"], varied[2]["num_videos_per_prompt"]) == (17, 2)
    assert "num_images_per_prompt" not in varied[2]


def test_one_more_image_to_edit_is_a_variation() -> None:
    """A single image, of which image-to-image pipelines take one, is not varied; true guidance can be switched off."""
    varied = shape_variations(PipelineInputs({"image": ["a cat"], "true_cfg_scale": 4.0}))

    assert [one.label for one in varied] == ["", "without guidance", "2 edit images"]
    assert varied[1]["true_cfg_scale"] == 1.0
    assert varied[2]["image"] == ["a cat", "a cat"]
    assert [one.label for one in shape_variations(PipelineInputs({"image": "a cat"}))] == [""]


def test_what_the_plain_call_does_not_have_is_not_varied() -> None:
    """A call without guidance cannot switch guidance off."""
    assert [one.label for one in shape_variations(PipelineInputs({"guidance_scale": 1.0}))] == [""]


def test_a_scheduler_of_flow_matching_is_replaced_by_one_of_its_class() -> None:
    """Others that are compatible by name do not know its prediction type."""
    scheduler = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    pipeline = Pipeline(scheduler)
    with another_scheduler()(pipeline):
        assert type(pipeline.scheduler) is DPMSolverMultistepScheduler
        assert pipeline.scheduler is not scheduler
