"""Compare the readings of the simulated GPU and of CUDA for the same cases, and format them as tables."""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

#: How far a pipeline's simulated peak of allocated memory may be from the allocator's.
PEAK_TOLERANCE = 0.01
#: How far a pipeline's simulated number of kernels and library calls may be from CUDA's.
LAUNCH_TOLERANCE = 0.02
_HEADINGS = ("case", "syncs both", "only simulated", "only CUDA", "all syncs", "FLOPs", "launches", "peak")


class Figure(enum.Enum):
    """What is compared."""

    SYNCS = "syncs that the sync debug mode reports"
    ALL_SYNCS = "all syncs"
    FLOPS = "FLOPs"
    LAUNCHES = "kernels and library calls"
    PEAK = "peak memory"
    ATTENTION = "attention kernels"
    NOT_COMPARED = "not compared"
    STALE_LIMIT = "stated limits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one device measured in one case.

    Attributes:
        syncs: for each line of user code, how many syncs torch's sync debug mode reports there.
        all_syncs: the same for all syncs, including those that the debug mode does not report; the profiler of a GPU
            has no lines.
        flops: floating-point operations; None where they were not counted.
        launches: launched kernels and library calls; on the simulated GPU what its operations launch.
        peak_bytes: peak of allocated memory; minus what was allocated before the call, except at full size.
        operations: operations that launch work, which only the simulated GPU counts.
        choices: for each random attention call the chosen kernel; empty in every other case.
    """

    syncs: Mapping[str, int]
    all_syncs: Mapping[str, int]
    flops: int | None
    launches: int
    peak_bytes: int
    operations: int | None = None
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_syncs(self) -> int:
        """All syncs."""
        return sum(self.all_syncs.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement:
    """A figure of one case in which the devices differ.

    Attributes:
        case: name of the case.
        figure: what differs.
        text: the difference, in one line.
    """

    case: str
    figure: Figure
    text: str

    def __str__(self) -> str:
        """Return the line that is printed."""
        return f"{self.case}: {self.figure.value}: {self.text}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Both readings of one case.

    Attributes:
        case: name of the case.
        is_pipeline: whether memory and launches are judged; a single call's are those of a library's scratch memory.
        simulated: reading of the simulated GPU.
        real: reading of CUDA.
    """

    case: str
    is_pipeline: bool
    simulated: Reading
    real: Reading

    @property
    def seen_by_both(self) -> Counter[str]:
        """Syncs that both devices report, by line."""
        return Counter(self.simulated.syncs) & Counter(self.real.syncs)

    @property
    def only_simulated(self) -> Counter[str]:
        """Syncs that only the simulated GPU reports, by line."""
        return Counter(self.simulated.syncs) - Counter(self.real.syncs)

    @property
    def only_real(self) -> Counter[str]:
        """Syncs that only CUDA reports, by line."""
        return Counter(self.real.syncs) - Counter(self.simulated.syncs)

    @property
    def peak_ratio(self) -> float | None:
        """Simulated peak divided by the real peak; 1 if neither allocates, None if only the simulated GPU does."""
        return _ratio(self.simulated.peak_bytes, self.real.peak_bytes)

    def disagreements(self) -> Iterator[Disagreement]:
        """Yield each figure that differs by more than is allowed."""
        for text in differing_lines(self.simulated.syncs, self.real.syncs):
            yield Disagreement(case=self.case, figure=Figure.SYNCS, text=text)
        for text in differing_lines(self.simulated.all_syncs, self.real.all_syncs):
            yield Disagreement(case=self.case, figure=Figure.ALL_SYNCS, text=text)
        if self.real.flops is not None and self.simulated.flops != self.real.flops:
            yield self._differs(Figure.FLOPS, self.simulated.flops, self.real.flops)
        for call, chosen in self.real.choices.items():
            if self.simulated.choices.get(call) != chosen:
                text = f"{call}: simulated {self.simulated.choices.get(call)}, CUDA {chosen}"
                yield Disagreement(case=self.case, figure=Figure.ATTENTION, text=text)
        if self.is_pipeline and not _is_near(self.simulated.launches, self.real.launches, LAUNCH_TOLERANCE):
            yield self._differs(Figure.LAUNCHES, self.simulated.launches, self.real.launches)
        if self.is_pipeline and not _is_near(self.simulated.peak_bytes, self.real.peak_bytes, PEAK_TOLERANCE):
            yield self._differs(Figure.PEAK, self.simulated.peak_bytes, self.real.peak_bytes)

    def _differs(self, figure: Figure, simulated: int | None, real: int) -> Disagreement:
        return Disagreement(case=self.case, figure=figure, text=f"simulated {simulated}, CUDA {real}")


def _ratio(simulated: int, real: int) -> float | None:
    if real:
        return simulated / real
    return None if simulated else 1.0


def _is_near(simulated: int, real: int, tolerance: float) -> bool:
    return abs(simulated - real) <= tolerance * real


def differing_lines(simulated: Mapping[str, int], real: Mapping[str, int]) -> Iterator[str]:
    """Yield each line of code that synchronized a different number of times on the two devices, with both numbers."""
    for line in sorted({*simulated, *real}):
        counts = simulated.get(line, 0), real.get(line, 0)
        if counts[0] != counts[1]:
            yield f"{line}: simulated {counts[0]}, CUDA {counts[1]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A stated limit of the simulation, which explains a disagreement.

    Attributes:
        case: name of the case.
        figures: the figures that differ.
        reason: why, in one sentence for the documentation.
    """

    case: str
    figures: tuple[Figure, ...]
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """All cases together.

    Attributes:
        agreements: the compared cases.
        unexplained: the disagreements without a stated limit, and limits that no longer apply.
        limits: the stated limits that apply.
        failures: the cases that could not be compared, with the reason.
    """

    agreements: Sequence[Agreement]
    unexplained: Sequence[Disagreement]
    limits: Sequence[Limit]
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_true(self) -> bool:
        """Whether every case was compared, and every disagreement is a stated limit."""
        return not self.unexplained and not self.failures


def judge(agreements: Sequence[Agreement], failures: Mapping[str, str], limits: Sequence[Limit]) -> Verdict:
    """Explain the disagreements by the stated limits; a limit that no longer applies is a disagreement, too."""
    found = [one for agreement in agreements for one in agreement.disagreements()]
    stated = {(limit.case, figure) for limit in limits for figure in limit.figures}
    expected = {case for case, figure in stated if figure is Figure.NOT_COMPARED}
    differing = {(one.case, one.figure) for one in found}
    compared = {agreement.case for agreement in agreements}
    stale = [
        Disagreement(case=case, figure=Figure.STALE_LIMIT, text=f"{figure.value} agree; remove the limit")
        for case, figure in sorted(stated - differing, key=str)
        if case in compared
    ]
    return Verdict(
        agreements=agreements,
        unexplained=[one for one in found if (one.case, one.figure) not in stated] + stale,
        limits=[limit for limit in limits if limit.case in compared or limit.case in failures],
        failures={case: reason for case, reason in failures.items() if case not in expected},
    )


def report(verdict: Verdict) -> Iterator[str]:
    """Yield the table, the stated limits, each unexplained disagreement, the failed cases and the summary."""
    yield from _aligned([_HEADINGS, *map(row, verdict.agreements)])
    if verdict.limits:
        yield from ("", "explained by a stated limit:")
        yield from (f"  {limit.case}: {limit.reason}" for limit in verdict.limits)
    if verdict.unexplained:
        yield from ("", "unexplained:")
        yield from (f"  {one}" for one in verdict.unexplained)
    if verdict.failures:
        yield from ("", "not compared, because the case failed:")
        yield from (f"  {case}: {reason}" for case, reason in verdict.failures.items())
    yield from ("", summary(verdict))


def summary(verdict: Verdict) -> str:
    """Return in one line in how many cases the devices agree."""
    found = [one for agreement in verdict.agreements for one in agreement.disagreements()]
    differing = {figure: {one.case for one in found if one.figure is figure} for figure in Figure}
    total = len(verdict.agreements)
    parts = (f"{figure.value} in {total - len(differing[figure])}" for figure in _SUMMARIZED)
    return f"of {total} cases the simulated GPU and CUDA agree on {', '.join(parts)}"


_SUMMARIZED = (Figure.SYNCS, Figure.ALL_SYNCS, Figure.FLOPS)


def row(one: Agreement) -> tuple[str, ...]:
    """Return the cells of one case."""
    simulated, real = one.simulated, one.real
    return (
        one.case,
        str(one.seen_by_both.total()),
        str(one.only_simulated.total()),
        str(one.only_real.total()),
        f"{simulated.num_syncs} / {real.num_syncs}",
        _flops_cell(simulated, real),
        f"{simulated.launches} / {real.launches}",
        "-" if one.peak_ratio is None else f"{one.peak_ratio:.3f}",
    )


def _flops_cell(simulated: Reading, real: Reading) -> str:
    if real.flops is None:
        return "-"
    return "equal" if simulated.flops == real.flops else f"{simulated.flops} / {real.flops}"


def _aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        name, *figures = cells
        padded = (figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *padded]).rstrip()
