"""The examples have the same verdicts in any order, twice in one session, and split over sessions."""

import shutil
from collections.abc import Callable, Sequence

import pytest

from benchmarks.shuffled_orders import EXAMPLES, Verdicts, differences, shuffled, verdicts_in

_Run = Callable[[Sequence[str]], Verdicts]


@pytest.fixture
def run(project: pytest.Pytester) -> _Run:
    """Return a function that runs tests of the examples in a session of their own, in this order."""
    for file in EXAMPLES.glob("*.py"):
        shutil.copy(file, project.path)

    def verdicts(tests: Sequence[str]) -> Verdicts:
        report = project.path / "report"
        project.runpytest_inprocess("-q", "--tb=no", "--keep-duplicates", f"--diffopt-report={report}", *tests)
        return verdicts_in(report / "report.json")

    return verdicts


def test_verdicts_do_not_depend_on_the_order(run: _Run) -> None:
    """Two shuffled orders, one of them with each test twice, against one session for each file."""
    split = {**run(["test_second.py"]), **run(["test_first.py"])}
    tests = list(split)
    shuffled_once, shuffled_twice = run(shuffled(tests, 1, twice=False)), run(shuffled(tests, 2, twice=True))

    assert len(tests) > 12
    assert list(differences(split, shuffled_once)) == []
    assert list(differences(split, shuffled_twice)) == []
    assert len(shuffled_once) == len(shuffled_twice) == len(tests)


def test_a_test_alone_has_the_same_verdicts(run: _Run) -> None:
    """Those that an earlier test would influence most."""
    tests = [
        "test_first.py::test_graph",
        "test_first.py::test_wrong_numbers[3]",
        "test_first.py::test_break",
        "test_second.py::test_recompiles",
    ]
    together = run(["test_second.py::test_plain_calls", *tests])

    for test in tests:
        assert list(differences(run([test]), {test: together[test]})) == []


def test_functions_that_dynamo_gave_up_in_plain_calls_are_compiled_again(run: _Run) -> None:
    """The model reaches the function of its base class through a graph break."""
    test = "test_first.py::test_break"
    together = run(["test_second.py::test_plain_calls", test])

    assert list(differences(run([test]), {test: together[test]})) == []


def test_a_difference_is_found() -> None:
    """A missing verdict, another outcome, and a second run that differs from the first."""
    passed, failed = ("syncs", "passed", "0 syncs"), ("syncs", "regressed", "1 sync")

    assert list(differences({"a": [passed]}, {"a": [passed, passed]})) == []
    assert list(differences({"a": [passed]}, {"a": [failed]})) == [f"a: {[failed]}, alone {[passed]}"]
    assert list(differences({"a": [passed]}, {"a": [passed, failed]})) == [f"a: {[passed, failed]}, alone {[passed]}"]
    assert list(differences({}, {"a": [passed]})) == [f"a: {[passed]}, alone []"]
