"""`--diffopt-scale`: the scale of named pipelines whose marker does not set it."""

import pytest

SHOWS_SCALE = """
import pytest

@pytest.mark.diffopt(pipeline="sdxl"{scale})
def test_scale(diffopt_pipeline):
    assert diffopt_pipeline.scale == "{expected}"
"""


@pytest.mark.parametrize(
    ("ini", "arguments", "marked", "expected"),
    [
        ("", [], "", "tiny"),
        ("", ["--diffopt-scale=full"], "", "full"),
        ("diffopt_scale = full", [], "", "full"),
        ("diffopt_scale = full", ["--diffopt-scale=tiny"], "", "tiny"),
        ("diffopt_scale = full", ["--diffopt-scale=full"], ', scale="tiny"', "tiny"),
    ],
    ids=["default", "command line", "ini", "command line over ini", "marker over both"],
)
def test_the_closest_setting_is_used(
    project: pytest.Pytester, ini: str, arguments: list[str], marked: str, expected: str
) -> None:
    """A marker overrides the command line, which overrides the ini file, which overrides the default."""
    project.makeini(f"[pytest]\n{ini}")
    project.makepyfile(test_it=SHOWS_SCALE.format(scale=marked, expected=expected))
    result = project.runpytest_inprocess(*arguments)

    result.assert_outcomes(passed=1)


def test_a_scale_other_than_that_of_the_run_is_in_the_id(project: pytest.Pytester) -> None:
    """The scale of the run is not in the id."""
    project.makepyfile(test_it=SHOWS_SCALE.format(scale=', scale=["tiny", "full"]', expected="tiny"))
    result = project.runpytest_inprocess("--collect-only", "-q")

    result.stdout.fnmatch_lines(
        ["test_it.py::test_scale[[]sdxl[]]", "test_it.py::test_scale[[]sdxl@full[]]"], consecutive=True
    )


def test_an_unknown_scale_on_the_command_line_is_refused(project: pytest.Pytester) -> None:
    """The message lists the choices."""
    result = project.runpytest_inprocess("--diffopt-scale=huge")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --diffopt-scale: invalid choice: 'huge' (choose from *tiny*full*)"])


def test_an_unknown_scale_in_the_ini_file_is_refused(project: pytest.Pytester) -> None:
    """The message contains the rule and the value."""
    project.makeini("[pytest]\ndiffopt_scale = huge")
    result = project.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: diffopt_scale must be one of tiny, full, got: 'huge'"])
