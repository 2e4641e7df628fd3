"""Test how the outcome of an assertion is derived from what it raises."""

from collections.abc import Callable

import pytest

from benchmarks.injected_faults.guarding import CheckOutcome, CheckResult, Guard, run_check
from pytest_diffopt import DiffoptAssertionError
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Subject
from pytest_diffopt.session.active_test import active_test

VERDICT = Verdict(concern=Concern.IMAGES, outcome=Outcome.REGRESSED, subject=Subject(pipeline="own"), summary="")


def failing() -> None:
    """Fail as a guard does."""
    text = "diffopt: 1 of 1 image differs\n  image 0: SSIM 0.5"
    raise DiffoptAssertionError(text, VERDICT)


def unproven() -> None:
    """Prove nothing, as a guard does."""
    active_test().unproven.append(DiffoptAssertionError("diffopt: nothing was compared", VERDICT))


def raising() -> None:
    """Raise as a broken pipeline does."""
    msg = "shapes differ\nsecond line"
    raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("check", "outcome", "headline"),
    [
        (lambda: None, CheckOutcome.PASSED, ""),
        (failing, CheckOutcome.FAILED, "1 of 1 image differs"),
        (unproven, CheckOutcome.UNPROVEN, "nothing was compared"),
        (raising, CheckOutcome.RAISED, "RuntimeError: shapes differ"),
    ],
)
def test_result_has_outcome_and_headline(check: Callable[[], None], outcome: CheckOutcome, headline: str) -> None:
    """Only the first line of a message is kept."""
    assert run_check(Guard.IMAGE, check) == CheckResult(guard=Guard.IMAGE, outcome=outcome, headline=headline)


def test_failed_and_raised_catch_the_fault() -> None:
    """A skipped check proves nothing, so it does not catch the fault."""
    caught = [outcome for outcome in CheckOutcome if CheckResult(guard=Guard.IMAGE, outcome=outcome).is_caught]

    assert caught == [CheckOutcome.FAILED, CheckOutcome.RAISED]
