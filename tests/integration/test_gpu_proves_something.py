"""A `--gpu` run reports what it did not prove, or fails."""

import pytest

from pytest_diffopt.plugin import collection, running_test
from pytest_diffopt.reports import header

ON_THE_GPU = """
import pytest
from injected_verdicts import takes

@pytest.mark.gpu(memory_gib=80)
@pytest.mark.diffopt
def test_large(pytestconfig):
    takes(100)

@pytest.mark.diffopt
def test_small(pytestconfig):
    takes(100)
"""
TOO_SMALL = "needs a GPU with 80 GiB, got: 24.0 GiB"


@pytest.fixture(autouse=True)
def small_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake a GPU that is too small for tests with a requirement."""
    monkeypatch.setattr(collection, "_require_gpu", lambda: None)
    monkeypatch.setattr(header, "gpu_name", lambda: "a small GPU")
    monkeypatch.setattr(running_test, "_missing_of_gpu", lambda _needs: TOO_SMALL)


def test_a_gpu_that_is_too_small_for_some_tests_is_reported(injected: pytest.Pytester) -> None:
    """The run passes, and a line reports the tests that proved nothing."""
    injected.makepyfile(test_it=ON_THE_GPU)
    result = injected.runpytest_inprocess("--gpu")

    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["1 verdict: 1 passed", f"not proven: 1 of 2 diffopt tests proved nothing ({TOO_SMALL})"], consecutive=True
    )


def test_a_gpu_that_is_too_small_for_all_tests_fails(injected: pytest.Pytester) -> None:
    """A run with only skipped tests does not pass."""
    injected.makepyfile(test_it=ON_THE_GPU)
    result = injected.runpytest_inprocess("--gpu", "-k", "test_large")

    result.assert_outcomes(skipped=1, deselected=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["0 verdicts", f"not proven: --diffopt-gpu was given, but no diffopt test ran on the GPU ({TOO_SMALL})"]
    )


def test_a_run_without_a_diffopt_test_is_reported(injected: pytest.Pytester) -> None:
    """It passes, because `--gpu` may be meant for other tests."""
    injected.makepyfile(test_it="def test_other(): pass")
    result = injected.runpytest_inprocess("--gpu")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["not proven: --diffopt-gpu was given, but no diffopt test ran"])


def test_a_verdict_that_compared_nothing_is_reported(injected: pytest.Pytester) -> None:
    """A baseline of another GPU is not compared."""
    injected.makepyfile(
        test_it="""
from dataclasses import replace
import injected_verdicts

def test_other_gpu(monkeypatch):
    other = replace(injected_verdicts.ENVIRONMENT, device_name="another GPU")
    accepted = injected_verdicts.accepted_latency(100)
    monkeypatch.setattr(injected_verdicts, "accepted_latency", lambda *_: accepted)
    monkeypatch.setattr(injected_verdicts, "ENVIRONMENT", other)
    injected_verdicts.takes(100)
"""
    )
    result = injected.runpytest_inprocess()

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["not proven: 1 verdict decided nothing: 1 incomparable"])


@pytest.mark.usefixtures("warm_processes")
def test_a_lost_worker_fails(injected: pytest.Pytester) -> None:
    """Even if xdist replaces it."""
    pytest.importorskip("xdist")
    injected.makepyfile(
        test_it="""
import os
from injected_verdicts import takes

def test_good():
    takes(100)

def test_crash():
    os._exit(1)
"""
    )
    result = injected.runpytest_subprocess("-p", "xdist", "-n", "1", "-p", "no:benchmark", timeout=600)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["not proven: lost 1 worker before the end (gw0: Not properly terminated)"])
