"""Figures as text, with the unit that the name implies."""

from collections.abc import Mapping

from pytest_diffopt.guards.failure_text import change, size, time

_ACCEPTED = "accepted_"


def figure(name: str, value: float) -> str:
    """Format a value in the unit of its name: `latency_ns` is a time, `peak_bytes` and `bytes_to_host` are sizes."""
    if name.endswith("_ns"):
        return time(value)
    if name.endswith("_bytes") or name.startswith("bytes_"):
        return size(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def old_and_new(name: str, old: float | None, new: float | None) -> str:
    """Return `10.0 ms -> 12.0 ms (+20.0 %)`, with a dash for a missing value."""
    before, after = ("-" if value is None else figure(name, value) for value in (old, new))
    relative = f" ({change(new / old - 1)})" if old and new is not None else ""
    return f"{before} -> {after}{relative}"


def compared_figures(figures: Mapping[str, float]) -> str:
    """Return `name old -> new` for each figure that differs from its `accepted_` counterpart, else an empty string."""
    pairs = [(name, figures[_ACCEPTED + name], value) for name, value in figures.items() if _ACCEPTED + name in figures]
    changed = [(name, old, new) for name, old, new in pairs if old != new]
    return ", ".join(f"{_readable(name)} {old_and_new(name, old, new)}" for name, old, new in changed)


def _readable(name: str) -> str:
    return name.removesuffix("_ns").removesuffix("_bytes").replace("_", " ")
