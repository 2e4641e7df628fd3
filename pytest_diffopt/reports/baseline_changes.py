"""Baselines that a change loosened, added or removed, as text."""

from collections.abc import Iterator

from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind
from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.reports.figures import old_and_new

#: The kinds of change that weaken the gate; reports emphasize them.
WEAKENING = (ChangeKind.UNREADABLE, ChangeKind.LOOSENED, ChangeKind.REMOVED)
_SHOWN_LIMITS = 3


def headline(comparison: BaselineComparison) -> str:
    """Return one line, such as `baselines since origin/main (1a2b3c4d5): 1 loosened, 2 added`."""
    if comparison.problem:
        return f"baselines were not compared with {comparison.base}: {comparison.problem}"
    counts = {kind: len(comparison.of_kind(kind)) for kind in ChangeKind}
    parts = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return f"baselines since {comparison.base}: {parts or 'unchanged'}"


def change_lines(comparison: BaselineComparison) -> Iterator[str]:
    """Yield the headline, then one line for each change that weakens the gate."""
    yield headline(comparison)
    for change in comparison.changes:
        if change.kind in WEAKENING:
            yield f"  {change.kind} {change.path}{_colon(what_changed(change))}"


def what_changed(change: BaselineChange) -> str:
    """Return the changed limits, loosened ones first, and the note of the change."""
    shown = [f"{limit.name} {old_and_new(limit.name, limit.before, limit.after)}" for limit in change.limits]
    more = len(shown) - _SHOWN_LIMITS
    parts = [*shown[:_SHOWN_LIMITS], *([f"and {more} more"] if more > 0 else []), *filter(None, [change.note])]
    return ", ".join(parts)


def _colon(text: str) -> str:
    return f": {text}" if text else ""
