"""`--diffopt-require`: a run with fewer verdicts than it must have is red."""

import pytest

TWO_LATENCIES = """
from injected_verdicts import takes

def test_a():
    takes(100)

def test_b():
    takes(100)
"""


def test_enough_verdicts_pass(injected: pytest.Pytester) -> None:
    """Nothing more is said."""
    injected.makepyfile(test_it=TWO_LATENCIES)
    result = injected.runpytest_inprocess("--diffopt-require", "gpu>=2, latency>=1")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*not proven*")


def test_too_few_fail_though_every_test_passed(injected: pytest.Pytester) -> None:
    """The line says what was asked for and what there is."""
    injected.makepyfile(test_it=TWO_LATENCIES)
    result = injected.runpytest_inprocess("--diffopt-require", "gpu>=3")

    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["2 verdicts: 2 passed", "not proven: --diffopt-require asks for gpu>=3, got: 2 verdicts"], consecutive=True
    )


def test_the_ini_counterpart_holds_for_every_run(injected: pytest.Pytester) -> None:
    """`diffopt_require = gpu>=3`."""
    injected.makeini("[pytest]\ndiffopt_require = gpu>=3")
    injected.makepyfile(test_it=TWO_LATENCIES)

    assert injected.runpytest_inprocess().ret == pytest.ExitCode.TESTS_FAILED


def test_a_list_of_tests_is_not_judged(injected: pytest.Pytester) -> None:
    """Nothing ran."""
    injected.makepyfile(test_it=TWO_LATENCIES)

    assert injected.runpytest_inprocess("--diffopt-require=gpu>=3", "--collect-only").ret == pytest.ExitCode.OK


def test_what_cannot_be_read_ends_the_run_before_its_tests(injected: pytest.Pytester) -> None:
    """With the nearest known name, and no traceback."""
    injected.makepyfile(test_it=TWO_LATENCIES)
    result = injected.runpytest_inprocess("--diffopt-require", "latencies>=3")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0].startswith(
        "ERROR: diffopt: --diffopt-require knows no 'latencies' (did you mean 'latency'?); it takes a device (gpu, "
    )
    result.stdout.no_fnmatch_line("*Traceback*")
