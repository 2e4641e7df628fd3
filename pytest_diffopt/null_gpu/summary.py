"""The summary of a run on the null GPU, in lines."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_diffopt.null_gpu.counters import Counts, TallyKind, kernel_counts
from pytest_diffopt.null_gpu.recording import ProcessRecord, host_seconds

_KIB = 2**10
_GIB = 2**30
_SHOWN_KERNELS = 5
_SHOWN_SYNCS = 20
_KERNEL_WIDTH = 100
_LABEL_WIDTH = 18


def summary_lines(records: Sequence[ProcessRecord], *, gpu: str, count: int = 1) -> Iterator[str]:
    """Yield the summary of the processes of a run."""
    devices = f"{count} x {gpu}" if count > 1 else gpu
    yield f"null GPU: {devices} (kernels are counted and not computed; there is no GPU time)"
    if not records:
        yield "  no process that ended used the GPU"
    for record in records:
        if len(records) > 1:
            yield f"process {record.pid}: {' '.join(record.command)}"
        yield from _process_lines(record)


def _process_lines(record: ProcessRecord) -> Iterator[str]:
    counts = record.counts
    yield _line("kernels", f"{counts.total(TallyKind.KERNEL):,} launches of {len(counts.of(TallyKind.KERNEL))} kernels")
    yield _line("library calls", f"{counts.total(TallyKind.LIBRARY_CALL):,}")
    yield _line("graph launches", _graphs(counts))
    yield _line("copies", _by_name(counts, TallyKind.COPY))
    if counts.total(TallyKind.SKIPPED_COPY):
        yield _line("  not made", _by_name(counts, TallyKind.SKIPPED_COPY) + "; read back, they are zero")
    yield _line("cudaMalloc etc.", _by_name(counts, TallyKind.ALLOCATION))
    yield from _sync_lines(record)
    if record.peak_allocated_bytes is not None and record.peak_reserved_bytes is not None:
        peaks = f"{_gib(record.peak_allocated_bytes)} allocated, {_gib(record.peak_reserved_bytes)} reserved"
        yield _line("peak memory", peaks)
    yield _line("host time", f"{host_seconds(record):.2f} s")
    if counts.of(TallyKind.UNMODELLED):
        yield _line("unmodelled", _by_name(counts, TallyKind.UNMODELLED))
    yield from (_line("values", note) for note in record.value_notes)
    yield from _kernel_lines(kernel_counts(counts))


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}}{text}"


def _graphs(counts: Counts) -> str:
    launches = counts.total(TallyKind.GRAPH_LAUNCH)
    if not launches:
        return "0"
    kernels, calls = counts.total(TallyKind.GRAPH_KERNEL), counts.total(TallyKind.GRAPH_LIBRARY_CALL)
    return f"{launches:,}, with {kernels:,} kernels and {calls:,} library calls"


def _by_name(counts: Counts, kind: TallyKind) -> str:
    parts = (
        f"{name} {tally.count:,}{f' ({_size(tally.bytes)})' if tally.bytes else ''}"
        for name, tally in sorted(counts.of(kind).items())
    )
    return ", ".join(parts) or "0"


def _sync_lines(record: ProcessRecord) -> Iterator[str]:
    yield _line("syncs", f"{record.counts.total(TallyKind.SYNC):,}")
    for (api, line), count in record.syncs.most_common(_SHOWN_SYNCS):
        yield f"    {count:>6,}  {line}  {api}"
    hidden = len(record.syncs) - _SHOWN_SYNCS
    if hidden > 0:
        yield f"            and {hidden} more lines"


def _kernel_lines(kernels: Counter[str]) -> Iterator[str]:
    if kernels:
        yield "  most launched kernels"
    for name, count in kernels.most_common(_SHOWN_KERNELS):
        yield f"    {count:>6,}  {name[:_KERNEL_WIDTH]}"


def _gib(bytes_: int) -> str:
    return f"{bytes_ / _GIB:.3f} GiB"


def _size(bytes_: int) -> str:
    size = float(bytes_)
    for unit in ("B", "KiB", "MiB"):
        if size < _KIB:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KIB
    return f"{size:.1f} GiB"
