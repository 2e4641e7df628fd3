"""cache-dit's step cache: hits are counted, a cache without hits fails, and other pipelines are as they were."""

import pytest

TESTS = """
import numpy
from pytest_diffopt import assert_optimizations_applied, assert_optimizations_effective, parse_recipe
from pytest_diffopt.pipelines.flux import FLUX
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.scale import Scale

INPUTS = FLUX.inputs(Scale.TINY).varied("six steps", num_inference_steps=6)
RECIPE = "cache_dit(first=1, warmup=1, threshold=0.9)"

def pipeline_of(recipe=RECIPE):
    pipeline = build_pipeline(FLUX, Scale.TINY).pipeline
    parse_recipe(recipe).apply(pipeline)
    return pipeline

def test_clean():
    pipeline = pipeline_of()
    assert_optimizations_effective(pipeline, **INPUTS)
    assert_optimizations_applied(pipeline)

def test_other_pipelines_of_the_class_are_as_they_were():
    plain = build_pipeline(FLUX, Scale.TINY).pipeline
    before = plain(**INPUTS).images
    cached = pipeline_of()
    cached(**INPUTS)
    again = plain(**INPUTS).images
    assert type(plain).__call__ is not type(cached).__call__
    assert numpy.array_equal(before, again)

def test_threshold_that_no_step_reaches():
    assert_optimizations_effective(pipeline_of("cache_dit(first=1, warmup=1, threshold=0.0)"), **INPUTS)

def test_never_enabled(monkeypatch):
    monkeypatch.setattr(type(parse_recipe(RECIPE).optimizations[0]), "apply", lambda optimization, pipeline: None)
    assert_optimizations_effective(pipeline_of(), **INPUTS)

def test_never_enabled_is_not_applied(monkeypatch):
    monkeypatch.setattr(type(parse_recipe(RECIPE).optimizations[0]), "apply", lambda optimization, pipeline: None)
    assert_optimizations_applied(pipeline_of())
"""


def test_the_cache_hits_and_one_without_hits_fails(project: pytest.Pytester) -> None:
    """Five steps take the four blocks after the first from the cache."""
    pytest.importorskip("cache_dit")
    project.makepyfile(test_it=TESTS)
    result = project.runpytest_inprocess("-W", "ignore", "-v")

    result.assert_outcomes(passed=2, failed=3)
    figure = "calls of blocks or layers that were taken from the cache"
    result.stdout.fnmatch_lines_random(
        [
            f"*cache_dit(first=1, warmup=1, threshold=0.9): 20 {figure}",
            f"  cache_dit(first=1, warmup=1, threshold=0.0): 0 {figure}",
            f"  cache_dit(first=1, warmup=1, threshold=0.9): 0 {figure}",
            "    missing: cache-dit is not enabled on transformer",
        ]
    )


def test_without_the_package_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it
    from tests.unit.tiny_pipelines import tiny_sdxl  # noqa: PLC0415 - imports torch

    monkeypatch.setattr("pytest_diffopt.recipes.cache_dit.find_spec", lambda _name: None)
    with pytest.raises(RecipeError) as error:
        parse_recipe("cache_dit").apply(tiny_sdxl())

    assert str(error.value) == "cache_dit needs cache-dit, which is not installed: pip install cache-dit"


REFUSED = {
    "cache_dit(first=0)": "cache_dit(first=...) must be at least 1, got: 0",
    "cache_dit + mag_cache": "a denoiser has one step cache",
    "cache_dit + compile(fullgraph=True)": "drop fullgraph=True",
}


@pytest.mark.parametrize("recipe", REFUSED)
def test_what_does_not_fit_is_refused(recipe: str) -> None:
    """Before a pipeline is built."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it

    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe)

    assert REFUSED[recipe] in str(error.value)
