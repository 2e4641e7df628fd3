"""A guard of the user's own fails and passes through pytest like a built-in one."""

import json

import pytest

GUARD = """
from pytest_diffopt import conclude_own_guard

def assert_short(function, allowed):
    length = len(function())
    failure = f"{length} characters ({allowed} allowed)" if length > allowed else ""
    conclude_own_guard(
        function,
        guard="length",
        figures={"characters": length},
        failure=failure,
        facts=["text: " + function()],
        hint="shorten it",
    )
"""


@pytest.fixture
def guarded(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project with a guard in one file and its test in another."""
    project.makeini("[pytest]\npythonpath = .")
    project.makepyfile(length_guard=GUARD)
    return project


def test_an_own_guard_fails_with_its_headline_facts_and_hint(guarded: pytest.Pytester) -> None:
    """The verdict is in the section of the terminal and in report.json."""
    guarded.makepyfile(
        test_it="""
        from length_guard import assert_short

        def text():
            return "abcdef"

        def test_short():
            assert_short(text, allowed=5)
        """
    )
    result = guarded.runpytest_inprocess("--diffopt-report", "report")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: length: 6 characters (5 allowed)",
            "  text: abcdef",
            "seen in pipeline text (weights: the user's own)",
            "shorten it",
            "regressed  own guard  text *length: 6 characters (5 allowed)",
            "1 verdict: 1 regressed",
        ]
    )
    (entry,) = json.loads((guarded.path / "report/report.json").read_text(encoding="utf-8"))["verdicts"]
    assert entry["record"]["figures"] == {"characters": 6}
    assert "<caption>length</caption>" in (guarded.path / "report/index.html").read_text(encoding="utf-8")


def test_an_own_guard_passes(guarded: pytest.Pytester) -> None:
    """The clean counterpart: the figure is within what is allowed."""
    guarded.makepyfile(
        test_it="""
        from length_guard import assert_short

        def test_short():
            assert_short(lambda: "abcde", allowed=5)
        """
    )
    result = guarded.runpytest_inprocess("-v")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["passed  own guard  * length: characters 5", "1 verdict: 1 passed"])


FIGURES = "conclude_own_guard(figures=...) must be a mapping of names to finite numbers, with at least one"
EXAMPLE = 'write {"copied_bytes": 4096}'


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ("guard='x', figures={}", f"{FIGURES}, got: {{}}: {EXAMPLE}"),
        ("guard='', figures={'n': 1}", "conclude_own_guard(guard=...) must be a text that is not empty, got: ''"),
        ("guard='x', figures={'n': float('nan')}", f"{FIGURES}, got: {{'n': nan}}: {EXAMPLE}"),
        ("guard='x', figures={'n': '1'}", f"{FIGURES}, got: {{'n': '1'}}: {EXAMPLE}"),
    ],
)
def test_an_own_guard_without_evidence_is_an_error(project: pytest.Pytester, arguments: str, shown: str) -> None:
    """A guard that measured nothing must not pass."""
    project.makepyfile(
        test_it=f"""
        from pytest_diffopt import conclude_own_guard

        def test_nothing():
            conclude_own_guard(len, {arguments})
        """
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert f"diffopt: {shown}" in result.outlines
