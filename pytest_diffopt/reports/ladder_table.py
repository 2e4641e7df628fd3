"""A ladder as a table and a bar chart: verdicts, operations, launches, memory and times of each level."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pytest_diffopt.guards.failure_text import factor, percent, size, time
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.recipes.ladders import Level, known_ladders, ladder, pipelines_with
from pytest_diffopt.records import TAKEN_FROM_CACHE, Concern, Device
from pytest_diffopt.session.ledger import LedgerEntry

_BAR_WIDTH = 24
_SHOWN = (Concern.APPLIED, Concern.EFFECT, Concern.GRAPH_BREAKS, Concern.SYNCS, Concern.IMAGES)
_NOTHING = "-"
_HEAD = (
    "",
    "level",
    *_SHOWN,
    "operations a step",
    "launches a step",
    "library calls",
    "in graphs",
    "CUDA graphs",
    "peak memory",
    "moved a step",
    "reused",
    "SSIM",
    "latency",
    "times as fast",
    "host time",
    "device at least",
    "gap",
    "host a step",
    "GPU a step, estimated",
    "launches without an estimate",
    "gap a step",
)
#: Of several verdicts of one concern on one level, the first of these is shown.
_WORST_FIRST = (
    Outcome.REGRESSED,
    Outcome.MISSING,
    Outcome.UNWATCHED,
    Outcome.INCONCLUSIVE,
    Outcome.INCOMPARABLE,
    Outcome.IMPROVED,
)


@dataclass(kw_only=True)
class LadderRow:
    """The findings of a session about one level.

    Attributes:
        level: the level.
        outcomes: the worst outcome of each concern.
        latency_ns: median time of a call; None if not measured.
        peak_memory_bytes: peak memory of a call; None if neither counted nor measured.
        moved_bytes: bytes of weights and inputs copied to the GPU in a late denoise step; 0 if none or not counted.
        reused: calls of blocks or layers that a step cache saved in a call; 0 if none or not counted.
        ssim: the least structural similarity of an image to its reference; None if not compared.
        operations: operations launched in a late denoise step; None if not counted.
        launches: kernels and library calls of a late denoise step on the null GPU; None if not counted.
        library_calls: the library calls among them.
        launches_in_graphs: those of them that CUDA graphs launch.
        graph_launches: CUDA graphs that a late denoise step launches.
        host_ns: median host time of a call on the null GPU; None if not measured.
        device_ns: lower bound of the device's time of a call, by the roofline; None if not known.
        step_host_ns: host time of a late denoise step on the null GPU; None if not estimated.
        step_device_ns: estimated time of the GPU for it.
        share_without_estimate: the launches of a call that count as 0 in that estimate, as a fraction.
    """

    level: Level
    outcomes: dict[Concern, Outcome] = field(default_factory=dict)
    latency_ns: float | None = None
    peak_memory_bytes: int | None = None
    moved_bytes: int = 0
    reused: int = 0
    ssim: float | None = None
    operations: int | None = None
    launches: int | None = None
    library_calls: int = 0
    launches_in_graphs: int = 0
    graph_launches: int = 0
    host_ns: float | None = None
    device_ns: float | None = None
    step_host_ns: float | None = None
    step_device_ns: float | None = None
    share_without_estimate: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LadderResult:
    """A ladder with at least two tested levels, for one pipeline.

    Attributes:
        name: name of the ladder.
        pipeline: the tested pipeline.
        scale: the scale of the pipeline.
        rows: the findings about each tested level.
    """

    name: str
    pipeline: str
    scale: str
    rows: tuple[LadderRow, ...]

    @property
    def title(self) -> str:
        """The ladder and the pipeline, as a title."""
        return f"ladder {self.name}: {self.pipeline} ({self.scale})"

    def table(self) -> list[list[str]]:
        """Return a header row and one row for each level, without empty columns."""
        lines = [list(_HEAD), *(_cells(row, self.rows[0]) for row in self.rows)]
        used = [column for column in range(len(_HEAD)) if any(line[column] != _NOTHING for line in lines[1:])]
        return [[line[column] for column in used] for line in lines]

    def bars(self) -> tuple[str, list[tuple[str, float, str]]]:
        """Return the title of the chart, and label, value and text of the bar of each level.

        The bars show latency if it was measured, else launches if they were counted, else peak memory; levels without a
        value have no bar.
        """
        latencies = [(row.level.label, row.latency_ns, time(row.latency_ns)) for row in self.rows if row.latency_ns]
        if latencies:
            return "latency", latencies
        launches = [(row.level.label, float(row.launches), str(row.launches)) for row in self.rows if row.launches]
        if launches:
            return "launches a step", launches
        peaks = [(row.level.label, float(row.peak_memory_bytes)) for row in self.rows if row.peak_memory_bytes]
        return "peak memory", [(label, peak, size(peak)) for label, peak in peaks]


def ladders(entries: Sequence[LedgerEntry]) -> Iterator[LadderResult]:
    """Yield each ladder with at least two tested levels."""
    for name in known_ladders():
        for pipeline, scale in _tested_pipelines(entries, name):
            rows = _rows(entries, name, pipeline, scale) if pipeline in pipelines_with(name) else []
            if len(rows) > 1:
                yield LadderResult(name=name, pipeline=pipeline, scale=scale, rows=tuple(rows))


def ladder_lines(entries: Sequence[LedgerEntry]) -> Iterator[str]:
    """Yield title, table and bar chart of each ladder with at least two tested levels."""
    for result in ladders(entries):
        yield result.title
        yield from _table(result.table())
        yield from _bars(*result.bars())


def _tested_pipelines(entries: Iterable[LedgerEntry], name: str) -> list[tuple[str, str]]:
    """Return pipeline and scale of each subject that this ladder's tests ran with, in order."""
    subjects = [entry.verdict.subject for entry in entries if f"-{name}-" in entry.nodeid]
    return list(dict.fromkeys((subject.pipeline, subject.scale) for subject in subjects))


def _rows(entries: Sequence[LedgerEntry], name: str, pipeline: str, scale: str) -> list[LadderRow]:
    rows: list[LadderRow] = []
    for on_gpu in (False, True):
        for level in ladder(name, pipeline, scale, on_gpu=on_gpu):
            found = [entry for entry in entries if _is_of(entry, level, pipeline, scale)]
            if found and level.number not in {row.level.number for row in rows}:
                rows.append(_row(level, found))
    return sorted(rows, key=lambda row: row.level.number)


def _is_of(entry: LedgerEntry, level: Level, pipeline: str, scale: str) -> bool:
    subject = entry.verdict.subject
    is_named = f"-{level.test_id}]" in entry.nodeid
    return is_named and (subject.pipeline, subject.scale, subject.recipe) == (pipeline, scale, level.recipe)


def _row(level: Level, entries: Iterable[LedgerEntry]) -> LadderRow:
    row = LadderRow(level=level)
    for entry in entries:
        _take_outcome(row, entry.verdict.concern, entry.verdict.outcome)
        _take_figures(row, entry)
    return row


def _take_outcome(row: LadderRow, concern: Concern, outcome: Outcome) -> None:
    known = row.outcomes.get(concern)
    if known is None or (outcome in _WORST_FIRST and (known not in _WORST_FIRST or _is_worse(outcome, known))):
        row.outcomes[concern] = outcome


def _is_worse(outcome: Outcome, known: Outcome) -> bool:
    return _WORST_FIRST.index(outcome) < _WORST_FIRST.index(known)


def _take_figures(row: LadderRow, entry: LedgerEntry) -> None:
    record: dict[str, Any] = entry.record
    if entry.verdict.concern is Concern.LATENCY and record.get("samples_ns"):
        _take_time(row, entry)
    if entry.verdict.concern is Concern.COUNTS:
        row.peak_memory_bytes = max(phase["peak_memory_bytes"] for phase in record["phases"])
        steps = [phase for phase in record["phases"] if phase["phase"].startswith("step")]
        row.operations = steps[-1]["operations"] if steps else None
        row.moved_bytes = steps[-1]["bytes_to_device"] if steps else 0
    if entry.verdict.concern is Concern.KERNELS and record.get("phases"):
        _take_kernels(row, record)
    if entry.verdict.concern is Concern.EFFECT:
        row.reused = sum(one["value"] for one in record.get("effects", ()) if one["figure"] == TAKEN_FROM_CACHE)
    if entry.verdict.concern is Concern.IMAGES and record.get("differences"):
        row.ssim = min(one["ssim"] for one in record["differences"])
    if entry.verdict.concern is Concern.MEMORY:
        row.peak_memory_bytes = record["peak_allocated_bytes"]


def _take_kernels(row: LadderRow, record: Mapping[str, Any]) -> None:
    late = record["phases"][_last_step(record["phases"])]
    row.launches = sum(late["kernels"].values()) + sum(late["library_calls"].values())
    row.library_calls = sum(late["library_calls"].values())
    row.launches_in_graphs = late["launches_in_graphs"]
    row.graph_launches = late["graph_launches"]
    if row.peak_memory_bytes is None:  # a count or a measurement of memory has precedence, in any order
        row.peak_memory_bytes = max(phase["peak_allocated_bytes"] for phase in record["phases"])
    timeline = record.get("timeline")
    if timeline:
        step = next((one for one in timeline["phases"] if one["phase"] == "later steps"), timeline["phases"][0])
        row.step_host_ns, row.step_device_ns = step["host_ns"], step["busy_ns"]
        row.share_without_estimate = timeline["without_model"] / max(1, timeline["launches"])


def _take_time(row: LadderRow, entry: LedgerEntry) -> None:
    if entry.verdict.subject.device is Device.NULL_GPU:
        row.host_ns = median(entry.record["samples_ns"])
        row.device_ns = entry.record["roofline_ns"] or None
    else:
        row.latency_ns = median(entry.record["samples_ns"])


def _last_step(phases: Sequence[Mapping[str, Any]]) -> int:
    """Return the index of the last phase of the denoise loop; of the last phase without a loop."""
    return max((number for number, phase in enumerate(phases) if phase["phase"].startswith("step")), default=-1)


def _table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  " + "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()


def _cells(row: LadderRow, first: LadderRow) -> list[str]:
    speed_up = first.latency_ns / row.latency_ns if first.latency_ns and row.latency_ns else None
    return [
        str(row.level.number),
        row.level.label,
        *(str(row.outcomes.get(concern, _NOTHING)) for concern in _SHOWN),
        _NOTHING if row.operations is None else str(row.operations),
        _NOTHING if row.launches is None else str(row.launches),
        str(row.library_calls) if row.launches else _NOTHING,
        percent(row.launches_in_graphs / row.launches) if row.launches else _NOTHING,
        str(row.graph_launches) if row.graph_launches else _NOTHING,
        _NOTHING if row.peak_memory_bytes is None else size(row.peak_memory_bytes),
        size(row.moved_bytes) if row.moved_bytes else _NOTHING,
        str(row.reused) if row.reused else _NOTHING,
        _NOTHING if row.ssim is None else f"{row.ssim:.3f}",
        _NOTHING if row.latency_ns is None else time(row.latency_ns),
        _NOTHING if speed_up is None else factor(speed_up),
        _NOTHING if row.host_ns is None else time(row.host_ns),
        _NOTHING if row.device_ns is None else time(row.device_ns),
        _gap(row.host_ns, row.device_ns),
        _NOTHING if row.step_host_ns is None else time(row.step_host_ns),
        _NOTHING if row.step_device_ns is None else time(row.step_device_ns),
        percent(row.share_without_estimate) if row.share_without_estimate else _NOTHING,
        _gap(row.step_host_ns, row.step_device_ns),
    ]


def _gap(host_ns: float | None, device_ns: float | None) -> str:
    """Return by how much the host takes longer than the device needs at least; `device-bound` if it does not."""
    if host_ns is None or device_ns is None:
        return _NOTHING
    return time(host_ns - device_ns) if host_ns > device_ns else "device-bound"


def _bars(title: str, values: Sequence[tuple[str, float, str]]) -> Iterator[str]:
    if not values:
        return
    longest = max(value for _, value, _ in values)
    width = max(len(label) for label, _, _ in values)
    yield f"  {title}"
    for label, value, text in values:
        bar = "#" * max(1, round(_BAR_WIDTH * value / longest))
        yield f"  {label:<{width}}  {bar:<{_BAR_WIDTH}}  {text}"
