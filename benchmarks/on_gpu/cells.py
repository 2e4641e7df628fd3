"""Format figures as cells, and align cells in columns."""

from collections.abc import Iterator, Sequence

from benchmarks.on_gpu.command import Figures

#: The cell of a case that is not measured yet.
NOT_YET = "-"
_GIB = 2**30


def why_none(figures: Figures | None) -> str:
    """Return the reason why a case has no figures; empty if it has."""
    if figures is None:
        return NOT_YET
    if "failed" in figures:
        return "failed"
    if "unavailable" in figures:
        return "unavailable"
    if "out_of_memory" in figures:
        return "OOM after warm-up" if figures["out_of_memory"] == "after warm-up" else "OOM"
    return "" if figures.get("call_seconds", True) else "throttled"


def seconds(value: float) -> str:
    """Format a time."""
    return f"{value:.3g} s" if value < 1 else f"{value:.2f} s"


def gib(value: int | None) -> str:
    """Format an amount of memory; None (on a CPU) is not measured."""
    return NOT_YET if value is None else f"{value / _GIB:.2f} GiB"


def compile_time(figures: Figures) -> str:
    """Format the compile time; "(cached)" marks a time that is shorter than a first compilation."""
    if not figures["compiled_frames"]:
        return NOT_YET
    cached = " (cached)" if "hit" in figures["compile_cache"] else ""
    return f"{figures['compile_seconds']:.1f} s{cached}"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each row, with the first column aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *right]).rstrip()
