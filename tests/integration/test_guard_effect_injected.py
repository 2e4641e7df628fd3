"""Every optimization, requested but made to do nothing: the figure of its effect is zero, and the guard fails."""

import pytest

from tests.effect_cases import EFFECT_CASES, NOT_ON_CPU
from tests.optimization_cases import CASES

#: Test files: the case's optimization is applied (`clean`) or does nothing (`injected`).
TESTS = """
import warnings

import pytest

from pytest_diffopt import assert_optimizations_effective, parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from tests.effect_cases import EFFECT_CASES
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

def pipeline_of(case):
    pipeline = tiny_sdxl()
    case.before(pipeline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parse_recipe(case.recipe).apply(pipeline)
    return pipeline

@pytest.mark.parametrize("number", range({count}))
def test_clean(number):
    one = EFFECT_CASES[number]
    inputs = INPUTS.varied("images", num_images_per_prompt=one.images)
    assert_optimizations_effective(pipeline_of(one.case), **inputs)

@pytest.mark.parametrize("number", range({count}))
def test_injected(number, monkeypatch):
    one = EFFECT_CASES[number]
    case, inputs = one.case, INPUTS.varied("images", num_images_per_prompt=one.images)
    for kind in [type(one) for one in parse_recipe(case.recipe).optimizations if one.name == case.name]:
        monkeypatch.setattr(kind, "apply", lambda optimization, pipeline: None)
        monkeypatch.setattr(kind, "call_context", Optimization.call_context)
    assert_optimizations_effective(pipeline_of(case), **inputs)
"""


@pytest.fixture
def report(project: pytest.Pytester) -> pytest.RunResult:
    """Run every case, clean and injected, in one session."""
    project.makepyfile(test_it=TESTS.format(count=len(EFFECT_CASES)))
    return project.runpytest_inprocess("-W", "ignore", "-v")


def test_an_optimization_that_does_nothing_fails_and_its_counterpart_passes(report: pytest.RunResult) -> None:
    """The failure names the optimization, the figure that is zero, and what ran instead."""
    report.assert_outcomes(passed=len(EFFECT_CASES), failed=len(EFFECT_CASES))
    shown = "\n".join(report.outlines)
    for one in EFFECT_CASES:
        assert f": {one.effect}" in shown
        figure, *lacking = one.without
        lines = "\n".join([f": {figure}", *(f"    lacking: {line}" for line in lacking)])
        assert f"{lines}\nseen in one call on {one.seen_on}, pipeline StableDiffusionXLPipeline" in shown


def test_every_optimization_has_a_case() -> None:
    """Those that are missing here have tests of their own."""
    assert {one.case.name for one in EFFECT_CASES} | NOT_ON_CPU == {case.name for case in CASES} | {
        "sequential_offload"
    }
