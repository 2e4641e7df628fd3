"""A test that needs what is not installed is skipped, or fails where CI requires it."""

import re
from pathlib import Path

import pytest
import yaml

from tests import requirements

ROOT = Path(__file__).parents[2]

NEEDS_A_BROWSER = """
import pytest

@pytest.mark.needs("browser")
def test_page():
    pass
"""
OPTIONS = ("-p", "tests.requirements", "--strict-markers", "-rs")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project with a test that needs a browser, on a machine without one."""
    monkeypatch.delenv(requirements.VARIABLE, raising=False)
    monkeypatch.setitem(requirements.REQUIREMENTS, "browser", lambda: "no Chromium is installed")
    pytester.makepyfile(NEEDS_A_BROWSER)
    return pytester


def test_a_test_without_its_requirement_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    """On a machine of a contributor."""
    result = project.runpytest_inprocess(*OPTIONS)

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * no Chromium is installed"])


def test_a_skip_is_a_failure_where_it_is_required(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI."""
    monkeypatch.setenv(requirements.VARIABLE, "docs, browser")
    result = project.runpytest_inprocess(*OPTIONS)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["DIFFOPT_TESTS_REQUIRE has browser, but no Chromium is installed"])


def test_a_test_with_its_requirement_runs(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is required or not."""
    monkeypatch.setitem(requirements.REQUIREMENTS, "browser", lambda: "")
    monkeypatch.setenv(requirements.VARIABLE, "browser")

    project.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=1)


def test_an_unknown_name_is_refused(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt requirement would require nothing."""
    monkeypatch.setenv(requirements.VARIABLE, "browsers,lpips")
    result = project.runpytest_inprocess(*OPTIONS)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: DIFFOPT_TESTS_REQUIRE must have names of browser, docs, lpips, got: browsers"])


def test_a_package_that_cannot_be_imported_is_named() -> None:
    """With its extra, and Python's own message."""
    message = requirements._not_imported("no_such_package", extra="lpips")

    assert message == ("no_such_package of the extra lpips cannot be imported: No module named 'no_such_package'")
    assert requirements._not_imported("json", extra="lpips") == ""


def test_ci_requires_what_some_tests_need() -> None:
    """Otherwise such a test could be skipped everywhere: each name is required by a job of CI."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"] if str(step.get("run", "")).startswith("make test")]
    in_steps = {name for step in steps for name in step.get("env", {}).get(requirements.VARIABLE, "").split(",")}
    targets = {step["run"].split()[1] for step in steps}

    assert in_steps - {""} == {"browser", "docs"}
    assert "test-lpips" in targets
    assert required_in("Makefile", "$(LPIPS_VENV)/bin/python") == {"lpips"}
    assert required_in(".ci/run", "make test") == {"browser", "docs"}
    assert requirements.REQUIREMENTS.keys() == {"browser", "docs", "lpips"}


def required_in(file: str, command: str) -> set[str]:
    """Return the names that a file requires of a command."""
    found = re.findall(rf"{requirements.VARIABLE}=(\S+) {re.escape(command)}", (ROOT / file).read_text("utf-8"))
    return {name for names in found for name in names.split(",")}
