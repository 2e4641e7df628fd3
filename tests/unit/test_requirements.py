"""A test that needs what is not installed is skipped, or fails where CI requires it."""

import pytest

from tests import requirements

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
