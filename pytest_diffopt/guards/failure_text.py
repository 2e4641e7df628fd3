"""The layout of a failure and the format of figures, shared by every guard.

diffopt: <headline>
  <fact>
seen <where>
differs from the baseline's environment:
  <difference>
<hint>
"""

from collections.abc import Iterable, Iterator

from pytest_diffopt.printable import printable_line

_INDENT = "  "
_TIME_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))
_BYTE_UNITS = ((1024.0**4, "TiB"), (1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"))


def explain(
    headline: str, facts: Iterable[str] = (), *, seen: str = "", differences: Iterable[str] = (), hint: str = ""
) -> tuple[str, ...]:
    """Lay out a failure.

    Args:
        headline: what is wrong, with the figure and what is allowed.
        facts: the details, one per line.
        seen: the device and the subject ("on the simulated GPU, ..."); left out when empty.
        differences: what differs from the environment in which the baseline was accepted.
        hint: what to do, preferably a command that can be copied; left out when empty.

    Returns:
        The lines, without line ends.
    """
    differences = tuple(differences)
    return tuple(
        _lines(
            f"diffopt: {headline}",
            *(_INDENT + fact for fact in facts),
            *((f"seen {seen}",) if seen else ()),
            *(("differs from the baseline's environment:",) if differences else ()),
            *(_INDENT + difference for difference in differences),
            *((hint,) if hint else ()),
        )
    )


def _lines(*texts: str) -> Iterator[str]:
    """Yield each line of each text; names and texts of errors in them may contain anything."""
    for text in texts:
        yield from map(printable_line, text.splitlines())


def in_columns(rows: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Write rows of a name and a text in two aligned columns."""
    rows = tuple(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return tuple(f"{name:<{width}}  {text}" for name, text in rows)


def time(nanoseconds: float) -> str:
    """Write a time in a readable unit: `2.41 s`, `12.3 ms`."""
    return _in_unit(nanoseconds, _TIME_UNITS) or f"{nanoseconds:.0f} ns"


def size(num_bytes: float) -> str:
    """Write an amount of memory in a readable unit: `1.23 GiB`."""
    return _in_unit(num_bytes, _BYTE_UNITS) or f"{num_bytes:.0f} B"


def percent(fraction: float) -> str:
    """Write a fraction as percent: `5.0 %`."""
    return f"{100 * fraction:.1f} %"


def change(fraction: float) -> str:
    """Write a relative change with its sign: `+5.0 %`."""
    return f"{100 * fraction:+.1f} %"


def factor(value: float) -> str:
    """Write a factor: `1.05x`."""
    return f"{value:.2f}x"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: `1 call`, `2 calls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def are(number: int) -> str:
    """Write the verb for a number of things: `is`, `are`."""
    return "is" if number == 1 else "are"


def tolerated(number: int) -> str:
    """Write the end of a summary about stale allowances that are tolerated; nothing if there is none."""
    return f"; {counted(number, 'allowance')} not needed" if number else ""


def not_needed(kind: str, number: int) -> str:
    """Write the headline about stale allowances: `1 sync allowance is no longer needed`.

    Args:
        kind: what is allowed: `sync`.
        number: the number of allowances.
    """
    return f"{counted(number, f'{kind} allowance')} {are(number)} no longer needed"


def allowed(limit: str | float) -> str:
    """Write the limit of a figure: `(0 allowed)`."""
    return f"({limit} allowed)"


def _in_unit(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """Write a value with three digits in the largest unit not above it; empty when it is below every unit."""
    return next((f"{_three_digits(value / unit)} {name}" for unit, name in units if abs(value) >= unit), "")


def _three_digits(value: float) -> str:
    decimals = sum(abs(value) < limit for limit in (99.95, 9.995))
    return f"{value:.{decimals}f}"
