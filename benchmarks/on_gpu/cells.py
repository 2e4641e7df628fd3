"""The cells of the tables: figures as texts, and texts in columns."""

from collections.abc import Iterator, Sequence

from benchmarks.on_gpu.command import Figures

#: What stands where a case was not measured yet.
NOT_YET = "-"
_GIB = 2**30


def why_none(figures: Figures | None) -> str:
    """Say why a case has no figures; empty where it has."""
    if figures is None:
        return NOT_YET
    if "failed" in figures:
        return "failed"
    if "unavailable" in figures:
        return "not here"
    if "out_of_memory" in figures:
        return "OOM after warm-up" if figures["out_of_memory"] == "after warm-up" else "OOM"
    return "" if figures.get("call_seconds", True) else "throttled"


def seconds(value: float) -> str:
    """Write a time."""
    return f"{value:.3g} s" if value < 1 else f"{value:.2f} s"


def gib(value: int | None) -> str:
    """Write an amount of memory; on a CPU nobody counts it."""
    return NOT_YET if value is None else f"{value / _GIB:.2f} GiB"


def compile_time(figures: Figures) -> str:
    """Write what compiling took, and whether a cache answered: then it is not what a first run pays."""
    if not figures["compiled_frames"]:
        return NOT_YET
    cached = " (cached)" if "hit" in figures["compile_cache"] else ""
    return f"{figures['compile_seconds']:.1f} s{cached}"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each row, its first column on the left and the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *right]).rstrip()
