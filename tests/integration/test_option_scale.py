"""`--diffopt-scale`: how large named pipelines are built where a marker does not say."""

import pytest

SHOWS_SCALE = """
import pytest

@pytest.mark.diffopt(pipeline="sdxl"{scale})
def test_scale(diffopt_pipeline):
    assert diffopt_pipeline.scale == "{wanted}"
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
    ids=["default", "command line", "ini", "command line beats ini", "marker beats both"],
)
def test_the_nearest_word_counts(
    project: pytest.Pytester, ini: str, arguments: list[str], marked: str, expected: str
) -> None:
    """A marker beats the command line, which beats the ini file, which beats the default."""
    project.makeini(f"[pytest]\n{ini}")
    project.makepyfile(test_it=SHOWS_SCALE.format(scale=marked, expected=expected))
    result = project.runpytest_inprocess(*arguments)

    result.assert_outcomes(passed=1)


def test_another_scale_than_the_runs_own_is_in_the_id(project: pytest.Pytester) -> None:
    """A reader of the ids sees at which scale a test ran when it is not the one of the run."""
    project.makepyfile(test_it=SHOWS_SCALE.format(scale=', scale=["tiny", "full"]', expected="tiny"))
    result = project.runpytest_inprocess("--collect-only", "-q")

    result.stdout.fnmatch_lines(
        ["test_it.py::test_scale[[]sdxl[]]", "test_it.py::test_scale[[]sdxl@full[]]"], consecutive=True
    )


def test_an_unknown_scale_on_the_command_line_is_refused(project: pytest.Pytester) -> None:
    """The message names the choices."""
    result = project.runpytest_inprocess("--diffopt-scale=huge")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --diffopt-scale: invalid choice: 'huge' (choose from *tiny*full*)"])


def test_an_unknown_scale_in_the_ini_file_is_refused(project: pytest.Pytester) -> None:
    """The message says the rule and the value."""
    project.makeini("[pytest]\ndiffopt_scale = huge")
    result = project.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: diffopt_scale must be one of tiny, full, got: 'huge'"])
