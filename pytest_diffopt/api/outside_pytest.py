"""An assertion outside of pytest leaves torch as it found it, however it ends."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from pytest_diffopt.session.active_test import active_test

_Arguments = ParamSpec("_Arguments")


@contextmanager
def log_closed_outside_pytest() -> Iterator[None]:
    """Close the compile log at the end of the block, which restores Dynamo's functions, unless a test is running.

    A script has no end of a test or of a session that would do it, and the next assertion has a log of its own.
    """
    try:
        yield
    finally:
        test = active_test()
        if not test.keeps_verdicts:
            test.pipelines.close()


def standing_alone(assertion: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """Let an assertion outside of pytest close its compile log."""

    @functools.wraps(assertion)
    def asserted(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        __tracebackhide__ = True
        with log_closed_outside_pytest():
            assertion(*args, **kwargs)

    return asserted
