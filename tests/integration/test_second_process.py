"""The same call in a second process: what each process has anew turns the test red."""

import os

import pytest

REPEATABLE = """
import os
import pytest
import small_pipeline
from pytest_diffopt import assert_repeatable

class Pipeline(small_pipeline.SmallPipeline):
    def __call__(self, **inputs):
        output = super().__call__(**inputs)
        {inject}
        return output

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

@pytest.mark.parametrize("steps", [2, 3])
def test_repeatable(optimized_pipeline, pipeline_inputs, steps):
    inputs = pipeline_inputs | {{"num_inference_steps": steps}}
    {before}
    assert_repeatable(optimized_pipeline, second_process=True, {bound}**inputs)
"""
OF_A_HASH = "output.images[0, 0, 0, 0] += hash('a red circle') % 1000 / 1000"


def run(project: pytest.Pytester, inject: str, before: str = "pass", bound: str = "") -> pytest.RunResult:
    """Run the test on a pipeline with this in its call."""
    project.makepyfile(test_it=REPEATABLE.format(inject=inject, before=before, bound=bound))
    return project.runpytest_inprocess("-k", "3")


def test_the_same_image_in_another_process_passes(own_pipeline: pytest.Pytester) -> None:
    """Equal bits; the other process takes the same parameters, and a test's second such call is answered by its own."""
    before = "assert_repeatable(optimized_pipeline, second_process=True, **pipeline_inputs)"
    run(own_pipeline, "pass", before).assert_outcomes(passed=1, deselected=1)


def test_what_each_process_has_anew_fails(own_pipeline: pytest.Pytester) -> None:
    """Twice in one process such a pipeline generates the same image; the lines say where to look."""
    result = run(own_pipeline, OF_A_HASH, "assert_repeatable(optimized_pipeline, **inputs)")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the same call gave a different image in a second process",
            "  1 of 768 values differ (0.1%)",
            "  largest difference 0.* (0 allowed)",
            "seen in pipeline Pipeline (weights: the user's own)",
            (
                "look for what each process has anew: the order of a set, hash() and id(), a seed taken from the clock "
                "or from the process, a file that one writes and the other reads; or allow a bound: max_error=..."
            ),
        ],
        consecutive=True,
    )


def test_a_test_that_does_not_run_alone_is_reported(
    own_pipeline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what the other process said, and the command that shows it."""
    monkeypatch.setenv("ONLY_HERE", str(os.getpid()))
    result = run(own_pipeline, "pass", "assert os.environ['ONLY_HERE'] == str(os.getpid()), 'not in this process'")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the second process ended before the call; its last output:",
            "*not in this process*",
            "  the test must run alone and build its pipeline itself or in its fixtures:",
            "  *-m pytest -p no:cacheprovider --rootdir=*--diffopt-scale=tiny *test_it.py::test_repeatable[[]3]*",
        ]
    )


def test_other_calls_beside_it_are_refused(own_pipeline: pytest.Pytester) -> None:
    """Each is an assertion of its own."""
    result = run(own_pipeline, "pass", bound="after=[{'prompt': 'another'}], ")

    result.assert_outcomes(failed=1, deselected=1)
    assert (
        "diffopt: second_process=True makes the test's own call alone: assert after=... by itself, got: 1 call"
    ) in result.outlines
