"""`diffopt_inconclusive`: a verdict that proves nothing skips or fails its test, at the end of the test."""

import json
from typing import Any

import pytest

UNDECIDED = """
import pytest
from injected_verdicts import proves_nothing, syncs, takes

def test_nothing_else():
    proves_nothing()

def test_twice_and_a_pass():
    proves_nothing()
    takes(100)
    proves_nothing()

def test_a_later_failure():
    proves_nothing()
    syncs(12)

@pytest.fixture
def judges():
    proves_nothing()

def test_in_a_fixture(judges):
    takes(100)

@pytest.mark.xfail(strict=False)
def test_expected():
    proves_nothing()
"""
HEADLINE = "diffopt: the latency baseline was made with a different device name: nothing was compared"


@pytest.fixture
def undecided(injected: pytest.Pytester) -> pytest.Pytester:
    """Make a project with verdicts that prove nothing."""
    injected.makepyfile(test_it=UNDECIDED)
    return injected


def verdicts(pytester: pytest.Pytester) -> list[tuple[str, str]]:
    """Return test and outcome of each verdict of the report."""
    report: dict[str, Any] = json.loads((pytester.path / "report/report.json").read_text(encoding="utf-8"))
    return [(entry["nodeid"].partition("::")[2], entry["verdict"]["outcome"]) for entry in report["verdicts"]]


def test_elsewhere_the_test_is_skipped(undecided: pytest.Pytester) -> None:
    """At the line of the test, with the verdict's own text; a later failure is not hidden."""
    result = undecided.runpytest_inprocess("-rs", "--diffopt-report=report")

    result.assert_outcomes(skipped=4, failed=1)
    result.stdout.fnmatch_lines(["diffopt: *, inconclusive tests skip"])
    result.stdout.fnmatch_lines_random(["SKIPPED [[]1[]] test_it.py:4: diffopt: *", "SKIPPED [[]1[]] test_it.py:7: *"])
    result.stdout.fnmatch_lines(["9 verdicts: 2 passed, 1 regressed, 6 incomparable"])
    result.stdout.fnmatch_lines(["not proven: 6 verdicts decided nothing: 6 incomparable"])
    assert ("test_a_later_failure", "regressed") in verdicts(undecided)


@pytest.mark.parametrize("place", ["CI", "ini"])
def test_in_ci_the_test_fails(undecided: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Or where the ini file requires it; `xfail` covers it like any failure, and then it is not counted."""
    if place == "CI":
        monkeypatch.setenv("CI", "true")
    option = ["-o", "diffopt_inconclusive=fail"] if place == "ini" else []
    result = undecided.runpytest_inprocess(*option, "--diffopt-report=report")

    result.assert_outcomes(failed=4, xfailed=1)
    result.stdout.fnmatch_lines(["diffopt: *, inconclusive tests fail"])
    result.stdout.fnmatch_lines(["8 verdicts: 2 passed, 1 regressed, 5 incomparable"])
    result.stdout.fnmatch_lines(["1 failed verdict that a test expected (pytest.raises, xfail): not counted"])
    assert ("test_expected", "incomparable") not in verdicts(undecided)


def test_ci_can_skip(undecided: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ini file has precedence over the environment."""
    monkeypatch.setenv("CI", "true")
    result = undecided.runpytest_inprocess("-o", "diffopt_inconclusive=skip")

    result.assert_outcomes(skipped=4, failed=1)


def test_a_failed_test_shows_every_such_verdict(undecided: pytest.Pytester) -> None:
    """The texts are separated by an empty line; the report does not list the test as broken."""
    result = undecided.runpytest_inprocess("-o", "diffopt_inconclusive=fail", "--diffopt-report=report", "-k", "twice")
    report = json.loads((undecided.path / "report/report.json").read_text(encoding="utf-8"))

    result.assert_outcomes(failed=1, deselected=4)
    assert result.outlines.count(HEADLINE) == 2
    assert report["broken"] == []
    assert [one["is_failure"] for one in report["unmet_requirements"]] == [True]


def test_another_value_is_refused(injected: pytest.Pytester) -> None:
    """In one sentence."""
    result = injected.runpytest_inprocess("-o", "diffopt_inconclusive=ignore")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: diffopt_inconclusive must be one of fail, skip, got: 'ignore'" in result.errlines


def test_the_first_assertion_of_a_session_counts_too(injected: pytest.Pytester) -> None:
    """Nothing announces it before the test runs: its file imports the assertion inside of the test."""
    injected.makepyfile(
        test_it="""
        def test_it():
            from injected_verdicts import proves_nothing
            proves_nothing()
        """
    )
    result = injected.runpytest_subprocess("-rs", "-p", "no:benchmark", timeout=600)

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED [[]1[]] test_it.py:1: {HEADLINE}"])
