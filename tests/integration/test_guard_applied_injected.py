"""Every optimization, requested but without effect: the guard fails and reports what it found."""

import pytest

from tests.optimization_cases import CASES, Case

#: Test files: the case's optimization is applied (`clean`) or has no effect (`injected`).
TESTS = """
import warnings

import pytest

from pytest_diffopt import assert_optimizations_applied, parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from tests.optimization_cases import CASES
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

def pipeline_of(case):
    pipeline = tiny_sdxl()
    case.before(pipeline)
    recipe = parse_recipe(case.recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recipe.apply(pipeline)
    return pipeline

@pytest.mark.parametrize("number", range({count}))
def test_clean(number):
    case = CASES[number]
    assert_optimizations_applied(pipeline_of(case), **INPUTS)

@pytest.mark.parametrize("number", range({count}))
def test_injected(number, monkeypatch):
    case = CASES[number]
    for kind in [type(one) for one in parse_recipe(case.recipe).optimizations if one.name == case.name]:
        monkeypatch.setattr(kind, "apply", lambda optimization, pipeline: None)
        monkeypatch.setattr(kind, "call_context", Optimization.call_context)
    assert_optimizations_applied(pipeline_of(case), **INPUTS)
"""
# Cases that compile would trace a model each; the guard's own tests cover compilation.
QUICK = [case for case in CASES if "compile" not in case.recipe]


@pytest.fixture
def report(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.RunResult:
    """Run every case, clean and injected, in one session."""
    monkeypatch.setattr("tests.optimization_cases.CASES", QUICK)
    project.makepyfile(test_it=TESTS.format(count=len(QUICK)))
    return project.runpytest_inprocess("-W", "ignore", "-v")


def test_an_optimization_without_effect_fails_and_its_counterpart_passes(report: pytest.RunResult) -> None:
    """The failure names the optimization, what was found, and what is missing."""
    report.assert_outcomes(passed=len(QUICK), failed=len(QUICK))
    for case in QUICK:
        assert _lines_of(case) in "\n".join(report.outlines)


def _lines_of(case: Case) -> str:
    """Return the lines of the failure about a case."""
    missing = "\n".join(f"    missing: {line}" for line in case.missing)
    return f": {case.found_without}\n{missing}\nseen in pipeline StableDiffusionXLPipeline"
