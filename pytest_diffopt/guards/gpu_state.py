"""Whether a card was fit to be timed on, and what it said."""

from collections.abc import Iterable

from pytest_diffopt.guards.failure_text import counted, percent, size
from pytest_diffopt.records import CardProcess, CardReading, CardRecord, Slowdown

#: Fewer calls than this that were not throttled say nothing.
MIN_UNTHROTTLED = 3


def why_card_unfit(card: CardRecord | None, *, num_counted: int, num_throttled: int, noun: str = "call") -> str:
    """Return a headline that says why nothing can be told from a measurement; empty where the card was fit.

    Args:
        card: what the card said; None where there is none.
        num_counted: calls that count.
        num_throttled: calls that were dropped because the card was throttled.
        noun: what is counted.
    """
    if card and card.busy_others:
        return f"the card is busy with {', '.join(map(_named, card.busy_others))}: nothing was compared"
    if num_throttled and num_counted < MIN_UNTHROTTLED:
        total = counted(num_counted + num_throttled, noun)
        return f"the card was throttled in {num_throttled} of {total}: nothing was compared"
    return ""


def card_rows(
    card: CardRecord | None, *, num_counted: int, num_throttled: int, noun: str = "call"
) -> tuple[tuple[str, str], ...]:
    """Return what a person should know of the card: rows of a name and a text.

    Args:
        card: what the card said; None where there is none.
        num_counted: calls that count.
        num_throttled: calls that were dropped because the card was throttled.
        noun: what is counted.
    """
    if card is None:
        return ()
    rows = [("card", text)] if (text := _state(card.readings)) else []
    if num_throttled:
        total = counted(num_counted + num_throttled, noun)
        reasons = ", ".join(_slowdowns(card.readings))
        rows.append(("throttled", f"{num_throttled} of {total} dropped: {reasons}"))
    if card.unreadable:
        rows.append(("not read", "; ".join(card.unreadable)))
    return tuple(rows)


def _named(other: CardProcess) -> str:
    use = "" if other.utilization_percent is None else f", {percent(other.utilization_percent / 100)} of the card"
    held = f", {size(other.memory_bytes)}" if other.memory_bytes else ""
    return f"{other.name or 'a process'} (pid {other.pid}{use}{held})"


def _slowdowns(readings: Iterable[CardReading]) -> list[Slowdown]:
    return sorted({slowdown for reading in readings if reading.is_throttled for slowdown in reading.slowdowns})


def _state(readings: tuple[CardReading, ...]) -> str:
    watts = [None if reading.power_milliwatts is None else reading.power_milliwatts / 1000 for reading in readings]
    spans = (
        _span([reading.sm_clock_mhz for reading in readings], "MHz"),
        _span([reading.temperature_celsius for reading in readings], "degrees C"),
        _span(watts, "W"),
    )
    return ", ".join(filter(None, spans))


def _span(figures: Iterable[float | None], unit: str) -> str:
    told = [figure for figure in figures if figure is not None]
    if not told:
        return ""
    low, high = f"{min(told):.0f}", f"{max(told):.0f}"
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
