"""The first assertion of a test that nothing announced: it has no marker and no fixture of this plugin.

Without it such a test would have to be expected in every session, and what a session needs takes time to import.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _FirstUse:
    """The function that makes the running test the active one: one, because a process runs one test at a time."""

    opener: Callable[[], None] | None = None


@contextmanager
def opened_at_first_use(opener: Callable[[], None]) -> Iterator[None]:
    """Call a function once, if the block uses an assertion."""
    outer, _FirstUse.opener = _FirstUse.opener, opener
    try:
        yield
    finally:
        _FirstUse.opener = outer


def announce_use() -> None:
    """Call the function of the innermost block, unless that has been done."""
    opener, _FirstUse.opener = _FirstUse.opener, None
    if opener is not None:
        opener()
