"""The outcome that verdicts give a test at its end: those that prove nothing, and those that a thread lost."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from pytest_diffopt.guards.failed_assertion import DiffoptAssertionError
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.settings import InconclusivePolicy


@contextmanager
def outcome_settled() -> Iterator[None]:
    """Fail or skip the test at the end of the block, unless an error ends it.

    Raises:
        DiffoptAssertionError: a failed verdict was lost in a thread, or a verdict proved nothing and has to fail.
    """
    yield
    test = active_test()
    lost = test.failures_lost_in_threads()
    if lost:
        raise lost[0]
    unproven, test.unproven = test.unproven, []
    if unproven and test.settings.inconclusive is InconclusivePolicy.FAIL:
        raise _in_one(unproven)
    if unproven:
        pytest.skip(str(_in_one(unproven)))


def _in_one(errors: Sequence[DiffoptAssertionError]) -> DiffoptAssertionError:
    first, *others = errors
    text = "\n\n".join(str(error) for error in errors)
    return DiffoptAssertionError(text, first.verdict, others=others) if others else first
