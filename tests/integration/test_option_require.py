"""`--diffopt-require`: a run with fewer verdicts than required fails."""

import pytest

TWO_LATENCIES = """
from injected_verdicts import takes

def test_a():
    takes(100)

def test_b():
    takes(100)
"""


def test_enough_verdicts_pass(injected: pytest.Pytester) -> None:
    """No line is printed."""
    injected.makepyfile(test_it=TWO_LATENCIES)
    result = injected.runpytest_inprocess("--diffopt-require", "gpu>=2, latency>=1")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*not proven*")


def test_too_few_verdicts_fail_even_if_every_test_passed(injected: pytest.Pytester) -> None:
    """The line shows the required and the actual number."""
    injected.makepyfile(test_it=TWO_LATENCIES)
    result = injected.runpytest_inprocess("--diffopt-require", "gpu>=3")

    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["2 verdicts: 2 passed", "not proven: --diffopt-require asks for gpu>=3, got: 2 verdicts"], consecutive=True
    )


def test_the_ini_option_applies_to_every_run(injected: pytest.Pytester) -> None:
    """With `diffopt_require = gpu>=3`."""
    injected.makeini("[pytest]\ndiffopt_require = gpu>=3")
    injected.makepyfile(test_it=TWO_LATENCIES)

    assert injected.runpytest_inprocess().ret == pytest.ExitCode.TESTS_FAILED


def test_collect_only_ignores_the_requirement(injected: pytest.Pytester) -> None:
    """No test runs."""
    injected.makepyfile(test_it=TWO_LATENCIES)

    assert injected.runpytest_inprocess("--diffopt-require=gpu>=3", "--collect-only").ret == pytest.ExitCode.OK


def test_an_invalid_requirement_is_a_usage_error(injected: pytest.Pytester) -> None:
    """The message has the closest known name, and no traceback."""
    injected.makepyfile(test_it=TWO_LATENCIES)
    result = injected.runpytest_inprocess("--diffopt-require", "latencies>=3")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0].startswith(
        "ERROR: diffopt: --diffopt-require knows no 'latencies' (did you mean 'latency'?); it takes a device (gpu, "
    )
    result.stdout.no_fnmatch_line("*Traceback*")
