"""In CI no baseline is written without `--diffopt-allow-ci-update`."""

import pytest


@pytest.mark.parametrize("option", ["--diffopt-update=all", "--diffopt-update=missing", "--diffopt-prune"])
@pytest.mark.parametrize("value", ["true", "1"])
def test_writing_in_ci_is_refused(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    """The message contains the option, the value of `CI`, and both alternatives."""
    monkeypatch.setenv("CI", value)
    result = project.runpytest_inprocess(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            (
                f"ERROR: {option.partition('=')[0]} would write baselines in CI, got: CI={value}; "
                "run it on your machine and commit the result, or add --diffopt-allow-ci-update"
            )
        ]
    )


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        ("true", ["--diffopt-update=all", "--diffopt-allow-ci-update"]),
        ("true", []),
        ("false", ["--diffopt-update=all"]),
        ("0", ["--diffopt-update=all"]),
        ("", ["--diffopt-update=all"]),
    ],
)
def test_anything_else_runs(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, value: str, arguments: list[str]
) -> None:
    """Outside CI, in CI with `--diffopt-allow-ci-update`, and in CI without writing, tests run."""
    monkeypatch.setenv("CI", value)
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess(*arguments)

    result.assert_outcomes(passed=1)


def test_an_unknown_choice_is_refused(project: pytest.Pytester) -> None:
    """The message lists the choices."""
    result = project.runpytest_inprocess("--diffopt-update=some")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --diffopt-update: invalid choice: 'some' (choose from *missing*all*)"])
