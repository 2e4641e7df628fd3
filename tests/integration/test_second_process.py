"""The same call in a second process: a value that differs between processes fails."""

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
ADDS_A_HASH = "output.images[0, 0, 0, 0] += hash('a red circle') % 1000 / 1000"


def run(project: pytest.Pytester, inject: str, before: str = "pass", bound: str = "") -> pytest.RunResult:
    """Run the test on a pipeline with this line in its call."""
    project.makepyfile(test_it=REPEATABLE.format(inject=inject, before=before, bound=bound))
    return project.runpytest_inprocess("-k", "3")


@pytest.mark.usefixtures("warm_processes")
def test_the_same_image_in_another_process_passes(own_pipeline: pytest.Pytester) -> None:
    """The second process runs the same parameters; each such call of a test has its own second process."""
    before = "assert_repeatable(optimized_pipeline, second_process=True, **pipeline_inputs)"
    run(own_pipeline, "pass", before).assert_outcomes(passed=1, deselected=1)


def test_a_value_that_differs_between_processes_fails(own_pipeline: pytest.Pytester) -> None:
    """Two calls in one process generate the same image; the message names possible causes."""
    result = run(own_pipeline, ADDS_A_HASH, "assert_repeatable(optimized_pipeline, **inputs)")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the same call gave a different image in a second process",
            "  1 of 768 values differ (0.1%)",
            "  largest difference 0.* (0 allowed)",
            "seen in pipeline Pipeline (weights: the user's own)",
            (
                "look for what differs between processes: the order of a set, hash() and id(), a seed taken from the "
                "clock or the process ID, a file that one process writes and the other reads; "
                "or allow a bound: max_error=..."
            ),
        ],
        consecutive=True,
    )


@pytest.mark.usefixtures("warm_processes")
def test_a_test_that_does_not_run_alone_is_reported(
    own_pipeline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message contains the output of the second process, and its command."""
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


def test_other_calls_are_refused(own_pipeline: pytest.Pytester) -> None:
    """Each needs a separate assertion."""
    result = run(own_pipeline, "pass", bound="after=[{'prompt': 'another'}], ")

    result.assert_outcomes(failed=1, deselected=1)
    assert (
        "diffopt: second_process=True makes only the test's own call: assert after=... separately, got: 1 call"
    ) in result.outlines
