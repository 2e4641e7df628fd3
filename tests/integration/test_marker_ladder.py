"""`ladder` in the marker: one test per level; an incomplete marker is an error."""

import pytest

EVERY_LEVEL = """
import pytest

@pytest.mark.diffopt(pipeline=["sdxl", "flux"], ladder="modern")
def test_it(optimized_pipeline):
    pass
"""
MARKED = """
import pytest

@pytest.mark.diffopt({arguments})
def test_it({fixtures}):
    pass
"""


def test_each_level_is_a_test(project: pytest.Pytester) -> None:
    """The id shows pipeline, ladder, number and label; a recipe would be too long for a file name."""
    project.makepyfile(test_it=EVERY_LEVEL)
    result = project.runpytest_inprocess("--collect-only", "-q")

    levels = ["1-bf16", "2-compile", "3-int8", "4-fp8"]
    ids = {f"test_it.py::test_it[{pipeline}-modern-{level}]" for pipeline in ["sdxl", "flux"] for level in levels}

    assert {line for line in result.outlines if line.startswith("test_it.py::")} == ids


def test_level_selects_levels_by_label(project: pytest.Pytester) -> None:
    """Each pipeline that has the level gets a test; its number in the ladder stays in the id."""
    marked = MARKED.format(
        arguments='pipeline=["sdxl", "deepfloyd-if"], ladder="diffusion-fast", level=["fuse_qkv", "int8"]',
        fixtures="optimized_pipeline",
    )
    project.makepyfile(test_it=marked)
    result = project.runpytest_inprocess("--collect-only", "-q")

    assert {line for line in result.outlines if line.startswith("test_it.py::")} == {
        "test_it.py::test_it[sdxl-diffusion-fast-5-fuse_qkv]",
        "test_it.py::test_it[sdxl-diffusion-fast-6-int8]",
        "test_it.py::test_it[deepfloyd-if-diffusion-fast-5-int8]",
    }


@pytest.mark.parametrize(
    ("arguments", "fixtures", "message"),
    [
        (
            'pipeline="sdxl", level="int8"',
            "optimized_pipeline",
            "@pytest.mark.diffopt(level=...) names a level of a ladder: give it ladder=..., got: *",
        ),
        (
            'pipeline="sdxl", ladder="modern", level="int9"',
            "optimized_pipeline",
            ("these ladders have no level 'int9' (did you mean 'int8'?); known: bf16, compile, int8, fp8"),
        ),
        (
            'ladder="modern"',
            "optimized_pipeline",
            "@pytest.mark.diffopt(ladder=...) takes its recipes from the ladder: give it pipeline=... and no recipe",
        ),
        (
            'pipeline="sdxl", recipe="bf16", ladder="modern"',
            "optimized_pipeline",
            "@pytest.mark.diffopt(ladder=...) takes its recipes from the ladder: give it pipeline=... and no recipe",
        ),
        (
            'pipeline="sdxl", ladder="modren"',
            "optimized_pipeline",
            "unknown ladder: 'modren' (did you mean 'modern'?); known: diffusion-fast, modern, memory, cached",
        ),
        (
            'pipeline="sdxl", ladder="modern"',
            "",
            (
                "@pytest.mark.diffopt(ladder=...) needs a test that uses optimized_pipeline, "
                "or diffopt_pipeline and diffopt_recipe"
            ),
        ),
    ],
)
def test_an_incomplete_marker_is_an_error(
    project: pytest.Pytester, arguments: str, fixtures: str, message: str
) -> None:
    """The error appears at collection, without a traceback."""
    project.makepyfile(test_it=MARKED.format(arguments=arguments, fixtures=fixtures))
    result = project.runpytest_inprocess("--collect-only", "-q")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"diffopt: test_it.py::test_it: {message}"])


def test_an_unavailable_level_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    """float8 needs a GPU that supports it."""
    project.makepyfile(test_it=EVERY_LEVEL)
    result = project.runpytest_inprocess("-k", "sdxl and fp8", "-rs")

    result.assert_outcomes(skipped=1, deselected=7)
    result.stdout.fnmatch_lines(
        ["SKIPPED * fp8_dynamic needs a GPU of compute capability 8.9 or newer, and this pipeline is on 'cpu'"]
    )
