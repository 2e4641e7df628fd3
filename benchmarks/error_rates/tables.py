"""The tables as Markdown, and their place in a page of the documentation."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.error_rates.cells import CELLS, Cell
from benchmarks.error_rates.other_gates import FASTER_CLAIM, FasterCell, StoredCell
from benchmarks.error_rates.rates import CellResult, Rate
from benchmarks.marked_section import with_section
from pytest_diffopt.guards.paired_latency import FALSE_ALARMS
from pytest_diffopt.statistics.sequential import MISS_PROBABILITY

_START, _END = "<!-- error rates: python -m benchmarks.error_rates -->", "<!-- end of the error rates -->"


def page_with(page: str, tables: Sequence[str]) -> str:
    """Return a page with its tables replaced.

    Raises:
        ValueError: The page has no place for them.
    """
    written = with_section(page, _START, _END, "\n\n".join(["", *tables, ""]))
    if written is None:
        message = f"the page must contain the lines {_START!r} and {_END!r}"
        raise ValueError(message)
    return written


def paired_table(results: Mapping[str, CellResult], *, is_assumed: bool) -> str:
    """Return the table of the paired gate.

    Args:
        results: the results by the name of their cell.
        is_assumed: whether to show the cells for which the rule's assumptions hold, or the others.
    """
    numbered = [(number, cell) for number, cell in enumerate(CELLS, start=1) if cell.is_assumed is is_assumed]
    rows = [_paired_row(number, cell, results[cell.name]) for number, cell in numbered if cell.name in results]
    headings = (
        "row",
        "times of",
        "sessions",
        f"false alarms ({FALSE_ALARMS:.1%} claimed)",
        f"misses ({MISS_PROBABILITY:.0%} claimed)",
        "same code passes",
        "after",
        "2 % found",
        "3 % found",
        "within claims",
    )
    return _markdown(headings, rows)


def _paired_row(number: int, cell: Cell, result: CellResult) -> tuple[str, ...]:
    return (
        f"{number}",
        cell.name,
        f"{result.false_alarms.trials}",
        _with_limits(result.false_alarms),
        _with_limits(result.misses),
        _percent(result.passed.observed),
        f"{result.median_seconds('same code'):g} s",
        _percent(result.found("2 %").observed),
        _percent(result.found("3 %").observed),
        "yes" if result.keeps_claims else "**no**",
    )


def stored_table(rates: Mapping[StoredCell, Sequence[Rate]]) -> str:
    """Return the table of the stored gate."""
    rows = [
        (
            f"S{number}",
            _percent(cell.spread),
            f"{cell.sessions}",
            _with_limits(seen[0]),
            *(_percent(one.observed) for one in seen[1:]),
        )
        for number, (cell, seen) in enumerate(rates.items(), start=1)
    ]
    return _markdown(("row", "sessions differ by", "sessions", "same code fails", "5 %", "7.5 %", "10 %"), rows)


def faster_table(rates: Mapping[FasterCell, Rate]) -> str:
    """Return the table of `assert_faster`."""
    rows = [
        (
            f"F{number}",
            _percent(cell.noise),
            f"{cell.correlation:g}",
            f"{cell.pairs}",
            _percent(cell.spread) if cell.spread else "0 (what it claims)",
            _with_limits(rate),
        )
        for number, (cell, rate) in enumerate(rates.items(), start=1)
    ]
    claim = f"passes at the required factor ({FASTER_CLAIM:.1%} claimed)"
    return _markdown(("row", "noise", "correlation", "pairs", "another start differs by", claim), rows)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines(headings, rows))


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|---" * len(headings) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _with_limits(rate: Rate) -> str:
    return f"{_percent(rate.observed)} ({_percent(rate.low)} to {_percent(rate.high)})"


def _percent(fraction: float) -> str:
    """Write a fraction in percent, with two significant digits below 10 % and as much of 100 % as is known."""
    percent = 100 * fraction
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.2f} %"  # noqa: PLR2004 - two significant digits
