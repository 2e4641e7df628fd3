"""Whether a GPU was fit for timing, and the state that it reported."""

from collections.abc import Iterable

from pytest_diffopt.guards.failure_text import counted, percent, size
from pytest_diffopt.records import GPUProcess, GPUReading, GPURecord, Slowdown

#: The least number of calls without throttling that can be judged.
MIN_UNTHROTTLED = 3


def why_gpu_unfit(gpu: GPURecord | None, *, num_counted: int, num_throttled: int, noun: str = "call") -> str:
    """Return a headline with the reason why a measurement cannot be judged; empty where the GPU was fit.

    Args:
        gpu: the state of the GPU during the calls; None without a GPU.
        num_counted: the number of calls that count.
        num_throttled: the number of calls dropped because the GPU was throttled.
        noun: what a call is named in the text.
    """
    if gpu and gpu.busy_others:
        return f"the GPU is busy with {', '.join(map(_named, gpu.busy_others))}: nothing was compared"
    if num_throttled and num_counted < MIN_UNTHROTTLED:
        total = counted(num_counted + num_throttled, noun)
        return f"the GPU was throttled in {num_throttled} of {total}: nothing was compared"
    return ""


def gpu_rows(
    gpu: GPURecord | None, *, num_counted: int, num_throttled: int, noun: str = "call"
) -> tuple[tuple[str, str], ...]:
    """Return the state of the GPU for a failure: rows of a name and a text.

    Args:
        gpu: the state of the GPU during the calls; None without a GPU.
        num_counted: the number of calls that count.
        num_throttled: the number of calls dropped because the GPU was throttled.
        noun: what a call is named in the text.
    """
    if gpu is None:
        return ()
    rows = [("GPU", text)] if (text := _state(gpu.readings)) else []
    if num_throttled:
        total = counted(num_counted + num_throttled, noun)
        reasons = ", ".join(_slowdowns(gpu.readings))
        rows.append(("throttled", f"{num_throttled} of {total} dropped: {reasons}"))
    if gpu.unreadable:
        rows.append(("not read", "; ".join(gpu.unreadable)))
    return tuple(rows)


def _named(other: GPUProcess) -> str:
    use = "" if other.utilization_percent is None else f", {percent(other.utilization_percent / 100)} of the GPU"
    memory = f", {size(other.memory_bytes)}" if other.memory_bytes else ""
    return f"{other.name or 'a process'} (pid {other.pid}{use}{memory})"


def _slowdowns(readings: Iterable[GPUReading]) -> list[Slowdown]:
    return sorted({slowdown for reading in readings if reading.is_throttled for slowdown in reading.slowdowns})


def _state(readings: tuple[GPUReading, ...]) -> str:
    watts = [None if reading.power_milliwatts is None else reading.power_milliwatts / 1000 for reading in readings]
    spans = (
        _span([reading.sm_clock_mhz for reading in readings], "MHz"),
        _span([reading.temperature_celsius for reading in readings], "degrees C"),
        _span(watts, "W"),
    )
    return ", ".join(filter(None, spans))


def _span(figures: Iterable[float | None], unit: str) -> str:
    known = [figure for figure in figures if figure is not None]
    if not known:
        return ""
    low, high = f"{min(known):.0f}", f"{max(known):.0f}"
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
