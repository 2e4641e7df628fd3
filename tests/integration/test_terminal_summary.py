"""The diffopt section of the terminal: totals, failed verdicts, and a table of all verdicts with `-v`."""

import pytest

ALL_GOOD = """
import pytest
from pytest_diffopt import assert_optimizations_applied, assert_repeatable

@pytest.mark.diffopt(recipe="fp32")
def test_good(optimized_pipeline, pipeline_inputs):
    assert_repeatable(optimized_pipeline, **pipeline_inputs)
    assert_optimizations_applied(optimized_pipeline)
"""
ONE_BAD = (
    ALL_GOOD
    + """
@pytest.mark.diffopt(recipe="fp16")
def test_bad(optimized_pipeline):
    assert_optimizations_applied(optimized_pipeline)
"""
)
TABLE = [
    "passed     repeatability  SmallPipeline  fp32  equal bits",
    "passed     applied        SmallPipeline  fp32  fp32: 8 of 8 parameters are float32",
    "regressed  applied        SmallPipeline  fp16  not applied: fp16",
]


def section(result: pytest.RunResult) -> list[str]:
    """Return the lines of the diffopt section, without its title."""
    titles = [number for number, line in enumerate(result.outlines) if line.startswith("=")]
    start = next(number for number in titles if " diffopt " in result.outlines[number])
    end = next(number for number in titles if number > start)
    return [line for line in result.outlines[start + 1 : end] if line]


def test_a_passed_run_prints_one_line(own_pipeline: pytest.Pytester) -> None:
    """It prints only the number of verdicts."""
    own_pipeline.makepyfile(test_it=ALL_GOOD)
    result = own_pipeline.runpytest_inprocess()

    assert section(result) == ["2 verdicts: 2 passed"]


def test_verbose_prints_a_table(own_pipeline: pytest.Pytester) -> None:
    """With `-v` every verdict has a line, in aligned columns."""
    own_pipeline.makepyfile(test_it=ALL_GOOD)
    result = own_pipeline.runpytest_inprocess("-v")

    assert section(result) == [
        "passed  repeatability  SmallPipeline  fp32  equal bits",
        "passed  applied        SmallPipeline  fp32  fp32: 8 of 8 parameters are float32",
        "2 verdicts: 2 passed",
    ]


def test_a_failed_verdict_is_always_printed(own_pipeline: pytest.Pytester) -> None:
    """Without `-v` passed verdicts are only counted."""
    own_pipeline.makepyfile(test_it=ONE_BAD)
    result = own_pipeline.runpytest_inprocess()

    assert section(result) == [
        "regressed  applied  SmallPipeline  fp16  not applied: fp16",
        "3 verdicts: 2 passed, 1 regressed",
    ]


def test_verbose_prints_passed_and_failed_verdicts_in_one_table(own_pipeline: pytest.Pytester) -> None:
    """The table is in the order of the tests."""
    own_pipeline.makepyfile(test_it=ONE_BAD)
    result = own_pipeline.runpytest_inprocess("-v")

    assert section(result) == [*TABLE, "3 verdicts: 2 passed, 1 regressed"]


def test_a_run_without_verdicts_has_no_section(project: pytest.Pytester) -> None:
    """A project without diffopt tests sees only the header line."""
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess("-v")

    result.stdout.no_fnmatch_line("*= diffopt =*")
