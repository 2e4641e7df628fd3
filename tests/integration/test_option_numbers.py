"""`--diffopt-margin` and `--diffopt-max-seconds` accept only positive numbers."""

import pytest

OPTIONS = ["margin", "max_seconds"]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_number_that_is_not_positive_is_refused(project: pytest.Pytester, name: str, value: str) -> None:
    """The message contains the rule and the value; no test runs."""
    result = project.runpytest_inprocess(f"--diffopt-{name.replace('_', '-')}={value}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: diffopt_{name} must be a positive number, got: '{float(value)}'"])


@pytest.mark.parametrize("name", OPTIONS)
def test_a_text_on_the_command_line_is_refused(project: pytest.Pytester, name: str) -> None:
    """The message names the option."""
    option = f"--diffopt-{name.replace('_', '-')}"
    result = project.runpytest_inprocess(f"{option}=much")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*argument {option}: invalid float value: 'much'"])


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", ["much", "0", "nan", "5%"])
def test_an_invalid_number_in_the_ini_file_is_refused(project: pytest.Pytester, name: str, value: str) -> None:
    """The message shows the value as written in the file."""
    project.makeini(f"[pytest]\ndiffopt_{name} = {value}")
    result = project.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: diffopt_{name} must be a positive number, got: '{value}'"])
