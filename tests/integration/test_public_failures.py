"""Ten failures, injected: `assert_optimizations_effective` fails with the fault and passes without it."""

import pytest

from tests.public_failures import PUBLIC_FAILURES, WITHOUT_FIXED_STATE, PublicFailure

TESTS = """
import pytest

from pytest_diffopt import assert_optimizations_effective, parse_recipe
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from tests.public_failures import PUBLIC_FAILURES

@pytest.mark.parametrize("is_fixed", {states})
def test_it(is_fixed, monkeypatch):
    failure = PUBLIC_FAILURES[{number}]
    if not is_fixed:
        failure.before(monkeypatch)
    family = find_pipeline(failure.pipeline)
    pipeline = build_pipeline(family, Scale.TINY).pipeline
    parse_recipe(failure.recipe).apply(pipeline)
    if not is_fixed:
        failure.after(pipeline)
    inputs = family.inputs(Scale.TINY).varied("short", num_inference_steps=failure.steps, **failure.inputs)
    assert_optimizations_effective(pipeline, recipe=failure.recipe, **inputs)
"""


@pytest.mark.parametrize("failure", PUBLIC_FAILURES, ids=lambda one: one.name)
def test_the_fault_fails_and_the_fixed_state_passes(project: pytest.Pytester, failure: PublicFailure) -> None:
    """The message names the optimization and the figure that is zero."""
    states = [False] if failure.recipe in WITHOUT_FIXED_STATE else [False, True]
    project.makepyfile(test_it=TESTS.format(states=states, number=PUBLIC_FAILURES.index(failure)))
    result = project.runpytest_inprocess("-W", "ignore")

    result.assert_outcomes(failed=1, passed=len(states) - 1)
    result.stdout.fnmatch_lines(["diffopt: 1 of * optimization* no effect, or not everywhere"])
    shown = "\n".join(result.outlines)
    for line in failure.lines:
        assert line in shown
