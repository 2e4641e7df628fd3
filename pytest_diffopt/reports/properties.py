"""Outcomes and figures of a test as properties, which pytest writes into JUnit XML."""

from collections.abc import Iterable, Sequence
from itertools import count

from pytest_diffopt.session.ledger import LedgerEntry

Property = tuple[str, object]


def properties_of(entries: Sequence[LedgerEntry], known: Iterable[Property] = ()) -> list[Property]:
    """Return name and value of the outcome and of each figure of each verdict.

    If a test has several verdicts of one concern, they are numbered from the second: `diffopt.images-2.ssim`.

    Args:
        entries: the verdicts.
        known: the properties that the test already has.
    """
    found: list[Property] = []
    taken = {name for name, _value in known}
    for entry in entries:
        prefix = _free_prefix(entry.verdict.concern.replace(" ", "-"), taken)
        named = {"outcome": str(entry.verdict.outcome)} | dict(entry.verdict.figures)
        found.extend((f"{prefix}.{name}", value) for name, value in named.items())
        taken.add(f"{prefix}.outcome")
    return found


def _free_prefix(concern: str, taken: set[str]) -> str:
    candidates = (f"diffopt.{concern}{f'-{number}' if number > 1 else ''}" for number in count(1))
    return next(prefix for prefix in candidates if f"{prefix}.outcome" not in taken)
