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
    try:
        yield
    except BaseException:
        _open_errors()
        raise
    settle_outcome()


def settle_outcome() -> None:
    """Fail or skip the running test, whose function has returned, if one of its verdicts requires it."""
    lost, unproven = _open_errors()
    if lost:
        raise lost[0]
    if unproven and active_test().settings.inconclusive is InconclusivePolicy.FAIL:
        raise _in_one(unproven)
    if unproven:
        pytest.skip(str(_in_one(unproven)))


def _open_errors() -> tuple[list[DiffoptAssertionError], list[DiffoptAssertionError]]:
    """Return and remove the errors that no function of the test has raised: lost ones, and unproven verdicts."""
    test = active_test()
    lost = test.take_failures_lost_in_threads()
    unproven, test.unproven = test.unproven, []
    test.raised += [error.verdict for error in (*lost, *unproven)]
    return lost, unproven


def _in_one(errors: Sequence[DiffoptAssertionError]) -> DiffoptAssertionError:
    first, *others = errors
    text = "\n\n".join(str(error) for error in errors)
    return DiffoptAssertionError(text, first.verdict) if others else first
