"""The scheduler is replaced and begins at an explicit index; invalid requests are rejected."""

from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.grammar import parse_recipe
from tests.unit.tiny_pipelines import INPUTS


def test_the_new_scheduler_keeps_the_configuration(pipeline: Any) -> None:
    """It keeps the noise and timestep settings of the original, except for the given options."""
    spacing = pipeline.scheduler.config.timestep_spacing
    recipe = parse_recipe('scheduler(use="DPMSolverMultistepScheduler", options={"use_karras_sigmas": True})')
    recipe.apply(pipeline)

    assert pipeline.scheduler.config.timestep_spacing == spacing
    assert pipeline.scheduler.config.use_karras_sigmas is True
    assert str(recipe) == 'scheduler(use="DPMSolverMultistepScheduler", options={"use_karras_sigmas": True})'


def test_empty_options_are_left_out_of_the_canonical_form() -> None:
    """They are the default."""
    assert str(parse_recipe('scheduler(use="DDIMScheduler", options={})')) == 'scheduler(use="DDIMScheduler")'


def test_an_unknown_scheduler_is_refused() -> None:
    """It is rejected before a pipeline is built, with the closest name."""
    with pytest.raises(RecipeError) as error:
        parse_recipe('scheduler(use="DDIMSheduler")')

    assert str(error.value) == (
        "scheduler(use=...) must name a scheduler of diffusers, got: 'DDIMSheduler' (did you mean 'DDIMScheduler'?)"
    )


def test_an_unknown_option_is_refused(pipeline: Any) -> None:
    """Diffusers would silently ignore it."""
    recipe = parse_recipe('scheduler(use="EulerDiscreteScheduler", options={"use_karas_sigmas": True})')
    with pytest.raises(RecipeError) as error:
        recipe.apply(pipeline)

    assert str(error.value) == (
        "EulerDiscreteScheduler has no option 'use_karas_sigmas' (did you mean 'use_karras_sigmas'?)"
    )


def test_the_begin_index_does_not_change_the_image(pipeline: Any) -> None:
    """The explicit index equals the one that the scheduler would look up."""
    plain = pipeline(**INPUTS).images
    parse_recipe("begin_index").apply(pipeline)

    assert (pipeline(**INPUTS).images == plain).all()
    assert type(pipeline.scheduler).__name__ == "EulerDiscreteScheduler"
    assert pipeline.scheduler.begin_index == 0


def test_a_scheduler_without_a_begin_index_is_refused(pipeline: Any) -> None:
    """PNDM and DDIM have no begin index."""
    parse_recipe('scheduler(use="DDIMScheduler")').apply(pipeline)
    (begin_index,) = parse_recipe("begin_index").optimizations
    with pytest.raises(RecipeError) as error:
        begin_index.apply(pipeline)

    assert str(error.value) == "begin_index needs a scheduler with set_begin_index(), and DDIMScheduler has none"


def test_a_pipeline_without_a_scheduler_is_refused() -> None:
    """The optimization does not apply to it."""

    class Pipeline:
        """Any object."""

    with pytest.raises(RecipeError, match="begin_index needs a pipeline with a scheduler, and Pipeline has none"):
        parse_recipe("begin_index").apply(Pipeline())
