"""The scheduler is replaced as asked and begins where it is told, or what cannot be is refused."""

from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.grammar import parse_recipe
from tests.unit.tiny_pipelines import INPUTS


def test_the_configuration_is_the_own_ones(pipeline: Any) -> None:
    """What the pipeline's own scheduler says of noise and timesteps stays; the options change the rest."""
    spacing = pipeline.scheduler.config.timestep_spacing
    recipe = parse_recipe('scheduler(use="DPMSolverMultistepScheduler", options={"use_karras_sigmas": True})')
    recipe.apply(pipeline)

    assert pipeline.scheduler.config.timestep_spacing == spacing
    assert pipeline.scheduler.config.use_karras_sigmas is True
    assert str(recipe) == 'scheduler(use="DPMSolverMultistepScheduler", options={"use_karras_sigmas": True})'


def test_without_options_none_are_written() -> None:
    """A recipe is as short as it can be."""
    assert str(parse_recipe('scheduler(use="DDIMScheduler", options={})')) == 'scheduler(use="DDIMScheduler")'


def test_an_unknown_scheduler_is_refused() -> None:
    """Before anything is built, with the nearest one."""
    with pytest.raises(RecipeError) as error:
        parse_recipe('scheduler(use="DDIMSheduler")')

    assert str(error.value) == (
        "scheduler(use=...) must name a scheduler of diffusers, got: 'DDIMSheduler' (did you mean 'DDIMScheduler'?)"
    )


def test_an_unknown_option_is_refused(pipeline: Any) -> None:
    """Diffusers would ignore it."""
    recipe = parse_recipe('scheduler(use="EulerDiscreteScheduler", options={"use_karas_sigmas": True})')
    with pytest.raises(RecipeError) as error:
        recipe.apply(pipeline)

    assert str(error.value) == (
        "EulerDiscreteScheduler takes no option 'use_karas_sigmas' (did you mean 'use_karras_sigmas'?)"
    )


def test_the_image_is_the_same_with_a_given_first_index(pipeline: Any) -> None:
    """The index that is given is the one that would be looked up."""
    plain = pipeline(**INPUTS).images
    parse_recipe("begin_index").apply(pipeline)

    assert (pipeline(**INPUTS).images == plain).all()
    assert type(pipeline.scheduler).__name__ == "EulerDiscreteScheduler"
    assert pipeline.scheduler.begin_index == 0


def test_a_scheduler_without_an_index_is_refused(pipeline: Any) -> None:
    """PNDM and DDIM know no first index."""
    parse_recipe('scheduler(use="DDIMScheduler")').apply(pipeline)
    (begin_index,) = parse_recipe("begin_index").optimizations
    with pytest.raises(RecipeError) as error:
        begin_index.apply(pipeline)

    assert str(error.value) == "begin_index needs a scheduler with set_begin_index(), and DDIMScheduler has none"


def test_a_pipeline_without_a_scheduler_is_refused() -> None:
    """There is nothing to change."""

    class Pipeline:
        """Anything."""

    with pytest.raises(RecipeError, match="begin_index needs a pipeline with a scheduler, and Pipeline has none"):
        parse_recipe("begin_index").apply(Pipeline())
