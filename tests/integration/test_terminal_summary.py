"""The terminal's section: quiet when all is well, a table with `-v`, and a bad verdict always."""

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
    """Return the lines of our section, without its title."""
    titles = [number for number, line in enumerate(result.outlines) if line.startswith("=")]
    start = next(number for number in titles if " diffopt " in result.outlines[number])
    end = next(number for number in titles if number > start)
    return [line for line in result.outlines[start + 1 : end] if line]


def test_all_good_is_one_line(own_pipeline: pytest.Pytester) -> None:
    """A green run says how many verdicts there were and no more."""
    own_pipeline.makepyfile(test_it=ALL_GOOD)
    result = own_pipeline.runpytest_inprocess()

    assert section(result) == ["2 verdicts: 2 passed"]


def test_verbose_is_a_table(own_pipeline: pytest.Pytester) -> None:
    """With `-v` every verdict has its line, in columns."""
    own_pipeline.makepyfile(test_it=ALL_GOOD)
    result = own_pipeline.runpytest_inprocess("-v")

    assert section(result) == [
        "passed  repeatability  SmallPipeline  fp32  equal bits",
        "passed  applied        SmallPipeline  fp32  fp32: 8 of 8 parameters are float32",
        "2 verdicts: 2 passed",
    ]


def test_a_bad_verdict_is_always_shown(own_pipeline: pytest.Pytester) -> None:
    """Without `-v` the good ones are counted, and the bad one has its line."""
    own_pipeline.makepyfile(test_it=ONE_BAD)
    result = own_pipeline.runpytest_inprocess()

    assert section(result) == [
        "regressed  applied  SmallPipeline  fp16  not applied: fp16",
        "3 verdicts: 2 passed, 1 regressed",
    ]


def test_verbose_shows_good_and_bad_in_one_table(own_pipeline: pytest.Pytester) -> None:
    """One table, in the order of the tests."""
    own_pipeline.makepyfile(test_it=ONE_BAD)
    result = own_pipeline.runpytest_inprocess("-v")

    assert section(result) == [*TABLE, "3 verdicts: 2 passed, 1 regressed"]


def test_a_run_without_verdicts_has_no_section(project: pytest.Pytester) -> None:
    """Who has no diffopt test sees nothing of us but the head."""
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess("-v")

    result.stdout.no_fnmatch_line("*= diffopt =*")
