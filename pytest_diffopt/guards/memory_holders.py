"""The lines that hold memory, in the text of a failure."""

from collections.abc import Sequence

from pytest_diffopt.guards.failure_text import in_columns, size
from pytest_diffopt.records import MemoryHolder

_SHOWN = 3


def holder_lines(holders: Sequence[MemoryHolder], heading: str) -> tuple[str, ...]:
    """Return a heading and the lines that hold most; nothing without holders.

    Args:
        holders: the lines, the largest first.
        heading: when they hold it: `held at the peak`.
    """
    if not holders:
        return ()
    rows = [(size(one.held_bytes), f"{one.where}  {one.where.source}".rstrip()) for one in holders[:_SHOWN]]
    return (f"{heading}, by the line that allocated it:", *("  " + line for line in in_columns(rows)))
