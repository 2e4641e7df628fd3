"""A session opens with its first diffopt test, however late that test is recognised; what came before is not lost."""

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_diffopt.session.ledger import CARRIED_CASE, ledger_of

# Each run is a process of its own: here, in the process of these tests, every assertion is imported already.
UNANNOUNCED = """
def test_of_somebody_else():
    pass

def test_misused():
    from pytest_diffopt import parse_recipe

    parse_recipe("nonsense")

def test_judged():
    import numpy as np
    from pytest_diffopt import assert_repeatable

    images = iter((np.zeros((1, 16, 16, 3)), np.ones((1, 16, 16, 3))))
    assert_repeatable(lambda: next(images))
"""
SPREAD = """
import numpy as np
from pytest_diffopt import assert_repeatable

def test_broken():
    raise ValueError("not ours")

def test_judged():
    assert_repeatable(lambda: np.zeros((1, 16, 16, 3)))
"""


def test_a_test_that_nothing_announced_is_reported_as_any_other(pytester: pytest.Pytester) -> None:
    """Its verdict is in the summary, and an error of this package has no traceback."""
    pytester.makepyfile(test_it=UNANNOUNCED)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=600)

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*_ test_misused _*",
            "diffopt: * 'nonsense'*",
            "",
            "test_it.py:7: in test_misused",
            '    parse_recipe("nonsense")',
            "*_ test_judged _*",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(
        ["*= diffopt =*", "diffopt: device cpu *", "regressed  repeatability  *"], consecutive=True
    )


def test_the_controller_of_xdist_learns_of_diffopt_tests_from_their_reports(pytester: pytest.Pytester) -> None:
    """It collects nothing itself; the device and versions are above the verdicts."""
    pytester.makepyfile(test_it=SPREAD)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "1", timeout=600)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*= diffopt =*", "diffopt: device cpu *", "1 verdict: 1 passed"], consecutive=True)


def test_a_worker_that_ended_before_the_first_verdict_is_not_forgotten(pytester: pytest.Pytester) -> None:
    """The session of the controller opens later than the worker ended."""
    config = pytester.parseconfigure()
    dormant: Any = config.pluginmanager.get_plugin("diffopt-dormant")
    dormant.pytest_testnodedown(SimpleNamespace(gateway=SimpleNamespace(id="gw0")), "killed")
    report = pytest.TestReport("test_it.py::test_it", ("test_it.py", 0, "test_it"), {}, "passed", None, "call")
    vars(report)[CARRIED_CASE] = {"nodeid": report.nodeid, "file": "test_it.py", "line": 1}
    dormant.pytest_runtest_logreport(report)

    assert ledger_of(config).lost_workers == ["gw0: killed"]
    assert list(ledger_of(config).cases) == ["test_it.py::test_it"]
