"""Every report agrees with pytest: after reruns, expected failures, subtests, interruptions and crashed workers."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import INI_WITH_RERUNS


@dataclass(frozen=True, kw_only=True)
class Reports:
    """What one session printed and wrote.

    Attributes:
        result: the result of pytest.
        report: the content of `report.json`.
        junit: the properties of each test in JUnit XML.
        summary: the Markdown summary.
    """

    result: pytest.RunResult
    report: dict[str, Any]
    junit: dict[str, list[str]]
    summary: str

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Test and outcome of each verdict."""
        return [(entry["nodeid"].rpartition("::")[2], entry["verdict"]["outcome"]) for entry in self.report["verdicts"]]

    @property
    def broken(self) -> list[str]:
        """Tests that failed without a verdict."""
        return [test["nodeid"].rpartition("::")[2] for test in self.report["broken"]]

    @property
    def is_red(self) -> bool:
        """Whether the reports show a failure; all of them do or none."""
        unmet = any(one["is_failure"] for one in self.report["unmet_requirements"])
        in_json = any(outcome == "regressed" for _, outcome in self.outcomes) or bool(self.broken) or unmet
        in_junit = any("regressed" in values for values in self.junit.values())
        in_terminal = any("regressed" in line for line in self.result.outlines if " verdict" in line)
        assert in_junit == in_terminal == any(outcome == "regressed" for _, outcome in self.outcomes)
        assert ("passed" in self.summary.splitlines()[0]) is not in_json
        return in_json


@pytest.fixture
def project_of(injected: pytest.Pytester) -> pytest.Pytester:
    """Make a project in which a test may fail at its first attempts."""
    injected.makepyfile(
        attempts="""
        import collections
        COUNTS = collections.Counter()

        def number(name):
            COUNTS[name] += 1
            return COUNTS[name]
        """
    )
    injected.makeini(INI_WITH_RERUNS)
    return injected


def run(pytester: pytest.Pytester, *arguments: str, tests: str) -> Reports:
    """Run tests with every report."""
    pytester.makepyfile(test_it=tests)
    written = ("--diffopt-report=report", "--diffopt-summary=summary.md", "--junit-xml=junit.xml")
    result = pytester.runpytest_inprocess(*written, *arguments)
    return read(pytester, result)


def read(pytester: pytest.Pytester, result: pytest.RunResult) -> Reports:
    """Read every report of a session."""
    tree = ET.parse(pytester.path / "junit.xml")  # noqa: S314 - written by this test
    return Reports(
        result=result,
        report=json.loads((pytester.path / "report/report.json").read_text(encoding="utf-8")),
        junit={
            str(case.get("name")): [str(one.get("value")) for one in case.iterfind("properties/property")]
            for case in tree.iterfind(".//testcase")
        },
        summary=(pytester.path / "summary.md").read_text(encoding="utf-8"),
    )


FLAKY = """
import pytest
from attempts import number
from injected_verdicts import syncs, takes

@pytest.fixture
def judged():
    takes(100)
    yield
    takes(100)

{mark}
def test_flaky(judged):
    takes(120 if number("flaky") < 3 else 100)

{mark}
def test_bad():
    syncs(12)

def test_good():
    takes(100)
"""
ONE_ATTEMPT = [("test_flaky", "passed")] * 3 + [("test_bad", "regressed"), ("test_good", "passed")]


#: A plugin that runs a failed test again, as pytest-rerunfailures does, but reports the last attempt only.
REPORTS_THE_LAST_ATTEMPT = """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    for _ in range(3):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if not any(report.failed for report in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


@pytest.mark.parametrize(
    ("mark", "arguments", "conftest"),
    [
        ("", ["--reruns=2"], ""),
        ("@pytest.mark.flaky(reruns=3)", [], ""),
        ("", [], REPORTS_THE_LAST_ATTEMPT),
    ],
    ids=["option", "marker", "another plugin"],
)
def test_only_the_last_attempt_counts(
    project_of: pytest.Pytester, mark: str, arguments: Sequence[str], conftest: str
) -> None:
    """With pytest-rerunfailures and with another plugin: a test that passes in the end has passed verdicts only."""
    pytest.importorskip("pytest_rerunfailures")
    project_of.makeconftest(conftest)
    found = run(project_of, *arguments, tests=FLAKY.format(mark=mark))

    assert found.result.parseoutcomes()["passed"] == 2
    assert found.result.parseoutcomes()["failed"] == 1
    assert sorted(set(found.outcomes)) == sorted(set(ONE_ATTEMPT))
    assert [name for name, outcome in found.outcomes if outcome == "regressed"] == ["test_bad"]
    assert len([name for name in found.junit["test_flaky"] if name == "passed"]) == 3
    assert (found.broken, found.is_red) == ([], True)


def test_a_session_that_passes_after_reruns_has_passed_reports(project_of: pytest.Pytester) -> None:
    """The first attempts fail by a verdict, in a fixture, and without a verdict."""
    pytest.importorskip("pytest_rerunfailures")
    found = run(
        project_of,
        "--reruns=2",
        tests="""
        import pytest
        from attempts import number
        from injected_verdicts import syncs, takes

        def test_verdict():
            takes(120 if number("verdict") < 3 else 100)

        @pytest.fixture
        def breaks():
            if number("fixture") < 2:
                syncs(12)

        def test_fixture(breaks):
            takes(100)

        def test_error():
            takes(100)
            assert number("error") == 2
        """,
    )

    assert found.result.ret == pytest.ExitCode.OK
    assert found.outcomes == [("test_verdict", "passed"), ("test_fixture", "passed"), ("test_error", "passed")]
    assert not found.is_red


EXPECTED = """
import unittest
import pytest
from injected_verdicts import proves_nothing, syncs, takes

def test_raises():
    takes(100)
    with pytest.raises(AssertionError):
        takes(120)

@pytest.mark.xfail(strict=True)
def test_xfail():
    syncs(12)

def test_imperative_xfail():
    try:
        syncs(12)
    except AssertionError:
        pytest.xfail("known")

class TestCase(unittest.TestCase):
    @unittest.expectedFailure
    def test_expected_failure(self):
        syncs(12)
"""


def test_an_expected_failure_is_in_no_report(project_of: pytest.Pytester) -> None:
    """The session passes, and so do all reports; the terminal counts what was left out."""
    found = run(project_of, tests=EXPECTED)

    found.result.assert_outcomes(passed=1, xfailed=3)
    assert found.result.ret == pytest.ExitCode.OK
    assert found.outcomes == [("test_raises", "passed")]
    assert not found.is_red
    found.result.stdout.fnmatch_lines(
        ["1 verdict: 1 passed", "4 failed verdicts that a test expected (pytest.raises, xfail): not counted"],
        consecutive=True,
    )


def test_an_unexpected_failure_after_an_expected_one_is_without_verdict(project_of: pytest.Pytester) -> None:
    """The expected verdict does not explain it; an error that was raised from a verdict, or grouped with it, does."""
    found = run(
        project_of,
        tests="""
        import pytest
        from injected_verdicts import syncs, takes

        def test_other_reason():
            with pytest.raises(AssertionError):
                takes(120)
            assert 1 + 1 == 3

        def test_raised_from():
            try:
                takes(120)
            except AssertionError as error:
                raise RuntimeError("no release") from error

        def test_group():
            errors = []
            for _ in range(2):
                try:
                    takes(120)
                except AssertionError as error:
                    errors.append(error)
            raise ExceptionGroup("all", errors)

        @pytest.mark.xfail(strict=True)
        def test_passes_unexpectedly():
            takes(100)
        """,
    )

    found.result.assert_outcomes(failed=4)
    assert sorted(found.outcomes) == [
        ("test_group", "regressed"),
        ("test_group", "regressed"),
        ("test_passes_unexpectedly", "passed"),
        ("test_raised_from", "regressed"),
    ]
    assert found.broken == ["test_other_reason", "test_passes_unexpectedly"]
    assert found.is_red


SUBTESTS = """
import unittest
from injected_verdicts import syncs, takes

def test_subtests(subtests):
    for milliseconds in (100, 120, 100):
        with subtests.test(milliseconds=milliseconds):
            takes(milliseconds)

class TestCase(unittest.TestCase):
    def test_method(self):
        for milliseconds in (100, 120):
            with self.subTest(milliseconds=milliseconds):
                takes(milliseconds)
"""


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="pytest has subtests since version 9")
def test_each_subtest_has_its_verdict(project_of: pytest.Pytester) -> None:
    """A failed subtest fails its test by its verdict, and the others pass; so does unittest's."""
    found = run(project_of, tests=SUBTESTS)

    assert found.result.ret == pytest.ExitCode.TESTS_FAILED
    assert found.outcomes == [
        ("test_subtests", "passed"),
        ("test_subtests", "regressed"),
        ("test_subtests", "passed"),
        ("test_method", "passed"),
        ("test_method", "regressed"),
    ]
    assert (found.broken, found.is_red) == ([], True)


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="pytest has subtests since version 9")
def test_passed_subtests_have_passed_reports(project_of: pytest.Pytester) -> None:
    """The clean counterpart."""
    found = run(project_of, tests=SUBTESTS.replace("120", "100"))

    assert found.result.ret == pytest.ExitCode.OK
    assert not found.is_red


MANY = """
import pytest
from injected_verdicts import syncs, takes

def test_a():
    takes(100)

def test_b():
    syncs(12)

def test_c():
    syncs(12)

def test_d():
    takes(100)
"""


@pytest.mark.parametrize(("option", "num_failed"), [("-x", 1), ("--maxfail=2", 2), ("--maxfail=3", 2)])
def test_a_session_that_stops_has_the_verdicts_until_then(
    project_of: pytest.Pytester, option: str, num_failed: int
) -> None:
    """`-x` and `--maxfail`."""
    found = run(project_of, option, tests=MANY)

    assert found.result.parseoutcomes()["failed"] == num_failed
    assert [outcome for _, outcome in found.outcomes].count("regressed") == num_failed
    assert (found.broken, found.is_red) == ([], True)


def test_the_last_failed_alone(project_of: pytest.Pytester) -> None:
    """`--lf` runs the failed tests again; fixed ones make every report pass."""
    project_of.makeini("[pytest]")
    run(project_of, tests=MANY)
    found = run(project_of, "--lf", tests=MANY.replace("syncs(12)", "syncs()"))

    found.result.assert_outcomes(passed=2)
    assert found.outcomes == [("test_b", "passed"), ("test_c", "passed")]
    assert not found.is_red


CRASH = """
import os
import pathlib
from injected_verdicts import syncs, takes

def test_a():
    takes(100)

def test_crash(request):
    takes(100)
    if not pathlib.Path("crashed").exists():
        pathlib.Path("crashed").touch()
        if hasattr(request.config, "failures_db"):
            # pytest-rerunfailures has sent the rerun to the controller; its answer shows that this has arrived.
            request.config.failures_db.get_test_reruns(request.node.nodeid)
        os._exit(1)

def test_z():
    takes(100)
"""


@pytest.mark.parametrize(("reruns", "broken"), [([], ["test_crash"]), (["--reruns=1"], [])], ids=["once", "rerun"])
def test_a_crashed_worker(project_of: pytest.Pytester, reruns: Sequence[str], broken: Sequence[str]) -> None:
    """Its test is broken; where pytest-rerunfailures runs that test again and it passes, every report passes."""
    pytest.importorskip("xdist")
    if reruns:
        pytest.importorskip("pytest_rerunfailures")
    project_of.makepyfile(test_it=CRASH)
    written = ("--diffopt-report=report", "--diffopt-summary=summary.md", "--junit-xml=junit.xml")
    switches = ("-p", "no:benchmark", "-n", "1")
    result = project_of.runpytest_subprocess(*written, *switches, *reruns, timeout=600)
    found = read(project_of, result)

    assert result.ret == (pytest.ExitCode.TESTS_FAILED if broken else pytest.ExitCode.OK)
    assert (found.broken, found.is_red) == (broken, bool(broken))
    assert [name for name, _ in sorted(found.outcomes)] == (
        ["test_a", "test_z"] if broken else ["test_a", "test_crash", "test_z"]
    )
    result.stdout.fnmatch_lines(["not proven: lost 1 worker before the end (gw0: Not properly terminated)"])
