"""Compiled modules are compared with eager ones, each separately and output by output."""

import pytest

NUMERICS = """
import pytest, torch
import small_pipeline
from pytest_diffopt import assert_compiled_matches_eager

def backend(graph, inputs):
    def run(*args):
        first, *others = graph(*args)
        return (first {error}, *others)
    return run

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build()
    pipeline.unet.compile(backend=backend)
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")
    return pipeline

def test_numbers(optimized_pipeline, pipeline_inputs):
    assert_compiled_matches_eager(optimized_pipeline, {tolerance}**pipeline_inputs)
"""


def run(project: pytest.Pytester, error: str, tolerance: str = "") -> pytest.RunResult:
    """Run the test with a backend that adds an error."""
    project.makepyfile(test_it=NUMERICS.format(error=error, tolerance=tolerance))
    return project.runpytest_inprocess("--tb=short")


def test_only_the_wrong_module_is_named(own_pipeline: pytest.Pytester) -> None:
    """With its error, absolute and relative to the largest value, and the tolerance."""
    result = run(own_pipeline, "+ 0.01")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 output of compiled modules differs from eager",
            "  unet  float32, 3072 of 3072 values out of tolerance, largest error 0.01, * x the largest value "
            "(1e-05 + 1.3e-06 x the largest value allowed)",
            "seen against eager on the same inputs, pipeline SmallPipeline (weights: the user's own)",
            "to accept this: rtol=..., atol=...",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(("error", "tolerance"), [("", ""), ("+ 0.01", "rtol=0.0, atol=0.02, ")])
def test_equal_or_tolerated_numbers_pass(own_pipeline: pytest.Pytester, error: str, tolerance: str) -> None:
    """Within the dtype's rounding, or within the tolerance of the test."""
    result = run(own_pipeline, error, tolerance)

    result.assert_outcomes(passed=1)


def test_one_tolerance_without_the_other_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """The default of the other one would be a surprise."""
    result = run(own_pipeline, "", "rtol=0.1, ")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: rtol and atol belong together: give both or none, got: rtol=0.1, atol=None"])


def test_nothing_compiled_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """There is nothing to compare."""
    own_pipeline.makepyfile(
        test_it="""
from pytest_diffopt import assert_compiled_matches_eager

def test_numbers(optimized_pipeline, pipeline_inputs):
    assert_compiled_matches_eager(optimized_pipeline, **pipeline_inputs)
"""
    )
    result = own_pipeline.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: no compiled module to compare with eager mode: nothing is compiled in pipeline SmallPipeline *"]
    )
