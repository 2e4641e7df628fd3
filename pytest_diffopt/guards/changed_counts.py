"""The counts of a call that changed: the likely cause of another latency."""

from pytest_diffopt.guards.failure_text import counted, in_columns, size
from pytest_diffopt.records import CountRecord, PhaseCounts


def cause(base: CountRecord | None, head: CountRecord | None, *, why_not: str) -> tuple[str, ...]:
    """Return the lines about changed counts that go with a changed latency.

    Args:
        base: the counts before; None where they were not taken.
        head: the counts now; None where they were not taken.
        why_not: the reason, where counting failed.
    """
    if base is None or head is None:
        return (f"not counted: {why_not}",) if why_not else ()
    rows = changed_count_rows(base, head)
    if not rows:
        return ("no count changed: the same operations take a different time, or the time is spent elsewhere",)
    return ("counts that changed, on the simulated GPU:", *("  " + line for line in in_columns(rows)))


def changed_count_rows(base: CountRecord, head: CountRecord) -> tuple[tuple[str, str], ...]:
    """Return a row for each count that changed: `operations in step 1-29` and `1204 -> 1390`.

    Args:
        base: the counts before.
        head: the counts now.
    """
    then = {phase.phase: phase for phase in base.phases}
    now = {phase.phase: phase for phase in head.phases}
    rows = [
        (f"{name} {_where(phase)}", f"{_shown(name, before)} -> {_shown(name, after)}")
        for phase in now
        if phase in then
        for name, before, after in _differences(then[phase], now[phase])
    ]
    if then.keys() != now.keys():
        rows.append(("phases", f"{', '.join(then)} -> {', '.join(now)}"))
    return (*rows, *_attention_rows(base, head))


def _differences(then: PhaseCounts, now: PhaseCounts) -> list[tuple[str, int, int]]:
    figures = (
        ("operations", then.operations, now.operations),
        ("FLOPs", then.flops, now.flops),
        ("bytes to the GPU", then.bytes_to_device, now.bytes_to_device),
        ("bytes to the host", then.bytes_to_host, now.bytes_to_host),
        ("bytes allocated", then.allocated_bytes, now.allocated_bytes),
        ("peak memory", then.peak_memory_bytes, now.peak_memory_bytes),
    )
    return [(name, before, after) for name, before, after in figures if before != after]


def _attention_rows(base: CountRecord, head: CountRecord) -> tuple[tuple[str, str], ...]:
    kernels = sorted(base.attention.keys() | head.attention.keys())
    return tuple(
        (f"attention {kernel}", f"{counted(before, 'time')} -> {counted(after, 'time')}")
        for kernel in kernels
        if (before := base.attention.get(kernel, 0)) != (after := head.attention.get(kernel, 0))
    )


def _where(phase: str) -> str:
    return f"in {phase}" if phase.startswith("step") else phase


def _shown(name: str, figure: int) -> str:
    return size(figure) if "bytes" in name or "memory" in name else f"{figure:,}".replace(",", " ")
