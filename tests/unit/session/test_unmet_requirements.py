"""Unmet requirements are reported; some fail the run."""

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Device
from pytest_diffopt.session.ledger import BrokenTest, Ledger
from pytest_diffopt.session.settings import InconclusivePolicy, Settings
from pytest_diffopt.session.unmet_requirements import find_unmet_requirements
from tests.unit.reports.verdict_examples import entry, ledger

ON_GPU = Settings(use_gpu=True)
TOO_SMALL = "needs a GPU with 80 GiB, got: 24.0 GiB"


def found(of: Ledger, settings: Settings) -> list[tuple[bool, str]]:
    """Return the unmet requirements as pairs."""
    return [
        (unmet_requirement.is_failure, unmet_requirement.text)
        for unmet_requirement in find_unmet_requirements(of, settings)
    ]


def test_a_complete_run_has_no_unmet_requirements() -> None:
    """Without `--gpu` a skipped GPU test is not an unmet requirement."""
    assert found(ledger(entry()), Settings()) == []
    assert found(ledger(entry(device=Device.CUDA)), ON_GPU) == []
    assert found(ledger(skipped={"test_gpu": "needs a GPU: run with --diffopt-gpu"}), Settings()) == []


def test_gpu_without_a_diffopt_test_is_reported() -> None:
    """It is not a failure: `--gpu` may be meant for other tests."""
    assert found(Ledger(), ON_GPU) == [(False, "--diffopt-gpu was given, but no diffopt test ran")]


def test_gpu_with_only_skipped_tests_fails() -> None:
    """Each reason is listed once, with its count."""
    skipped = {"test_a": TOO_SMALL, "test_b": TOO_SMALL, "test_c": "no reason given"}

    assert found(ledger(skipped=skipped), ON_GPU) == [
        (True, f"--diffopt-gpu was given, but no diffopt test ran on the GPU (2x {TOO_SMALL}; no reason given)")
    ]


def test_a_gpu_that_is_too_small_for_some_tests_is_reported() -> None:
    """The other tests ran, so it is not a failure."""
    some = ledger(entry(device=Device.CUDA), skipped={"test_large": TOO_SMALL})

    assert found(some, ON_GPU) == [(False, f"1 of 2 diffopt tests proved nothing ({TOO_SMALL})")]


def test_a_lost_worker_fails() -> None:
    """Its test is broken, unless a plugin ran it again."""
    lost = ledger(entry())
    lost.lost_workers.append("gw1: Not properly terminated")
    again = found(lost, Settings())
    lost.broken.append(BrokenTest(nodeid="test_it.py::test_crash", reason="worker 'gw1' crashed"))

    assert again == [(False, "lost 1 worker before the end (gw1: Not properly terminated)")]
    assert found(lost, Settings()) == [(True, "lost 1 worker before the end (gw1: Not properly terminated)")]


def test_fewer_verdicts_than_required_fail() -> None:
    """Only unmet requirements are reported."""
    settings = Settings(required="gpu>=2, latency>=1")

    assert found(ledger(entry(device=Device.CUDA)), settings) == [
        (True, "--diffopt-require asks for gpu>=2, got: 1 verdict")
    ]


def test_undecided_verdicts_are_reported_after_failures() -> None:
    """Failures come first."""
    undecided = ledger(entry(Outcome.INCONCLUSIVE), entry(Outcome.INCOMPARABLE), entry(Outcome.INCONCLUSIVE))

    assert found(undecided, Settings(required="passed>=1")) == [
        (True, "--diffopt-require asks for passed>=1, got: 0 verdicts"),
        (False, "3 verdicts decided nothing: 1 incomparable, 2 inconclusive"),
    ]


def test_undecided_verdicts_fail_where_their_tests_do() -> None:
    """With `diffopt_inconclusive = fail`."""
    settings = Settings(inconclusive=InconclusivePolicy.FAIL)

    assert found(ledger(entry(Outcome.INCONCLUSIVE)), settings) == [(True, "1 verdict decided nothing: 1 inconclusive")]


def test_a_worker_of_the_paired_gate_has_no_unmet_requirements() -> None:
    """The main process judges."""
    assert found(Ledger(), Settings(use_gpu=True, is_paired_worker=True)) == []
