"""The figures of a test as properties, which pytest writes into JUnit's XML."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_diffopt.ledger import LedgerEntry

_PREFIX = "diffopt"


def properties_of(entries: Sequence[LedgerEntry]) -> Iterator[tuple[str, object]]:
    """Yield a name and a value for the outcome and for each figure of each verdict.

    A concern that a test asserts more than once is numbered from its second time: `diffopt.images-2.ssim`.
    """
    seen: Counter[str] = Counter()
    for entry in entries:
        concern = entry.verdict.concern.replace(" ", "-")
        seen[concern] += 1
        name = f"{_PREFIX}.{concern}" + (f"-{seen[concern]}" if seen[concern] > 1 else "")
        yield f"{name}.outcome", str(entry.verdict.outcome)
        for figure, value in entry.verdict.figures.items():
            yield f"{name}.{figure}", value
