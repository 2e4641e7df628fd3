"""Compare the readings of the simulated GPU and of a real GPU for the same cases, and format them as a table."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

PEAK_TOLERANCE = 0.03
_HEADINGS = ("case", "syncs both", "only simulated", "only real", "syncs / traced", "FLOPs", "ops / launches", "peak")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one device measured in one case.

    Attributes:
        syncs: for each line of user code, how many syncs torch's sync debug mode reports there.
        num_syncs: all syncs, including those that the debug mode does not report.
        flops: floating-point operations.
        operations: operations that launch work; on a real GPU, launched kernels.
        peak_bytes: peak of allocated memory, minus what was allocated before the call.
    """

    syncs: Mapping[str, int]
    num_syncs: int
    flops: int
    operations: int
    peak_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Both readings of one case.

    Attributes:
        case: name of the case.
        simulated: reading of the simulated GPU.
        real: reading of the real GPU.
    """

    case: str
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
        """Syncs that only the real GPU reports, by line."""
        return Counter(self.real.syncs) - Counter(self.simulated.syncs)

    @property
    def peak_ratio(self) -> float | None:
        """Simulated peak divided by the real peak; 1 if neither allocates, None if only the simulated GPU does."""
        if self.real.peak_bytes:
            return self.simulated.peak_bytes / self.real.peak_bytes
        return None if self.simulated.peak_bytes else 1.0

    @property
    def agrees_on_syncs(self) -> bool:
        """Whether both report the same number of syncs on the same lines."""
        return not self.only_simulated and not self.only_real

    @property
    def agrees_on_flops(self) -> bool:
        """Whether both count the same FLOPs."""
        return self.simulated.flops == self.real.flops

    @property
    def agrees_on_peak(self) -> bool:
        """Whether the peaks differ by at most `PEAK_TOLERANCE`."""
        return self.peak_ratio is not None and abs(self.peak_ratio - 1) <= PEAK_TOLERANCE


def report(agreements: Sequence[Agreement], failures: Mapping[str, str]) -> Iterator[str]:
    """Yield the table, each line on which the devices disagree, the failed cases and the summary."""
    yield from _aligned([_HEADINGS, *map(_row, agreements)])
    yield from _disagreements(agreements)
    if failures:
        yield from ("", "not compared, because the case failed:")
        yield from (f"  {case}: {reason}" for case, reason in failures.items())
    yield ""
    yield summary(agreements)


def summary(agreements: Sequence[Agreement]) -> str:
    """Return in one line in how many cases the devices agree."""
    return (
        f"of {len(agreements)} cases: the same syncs in {sum(one.agrees_on_syncs for one in agreements)}, "
        f"equal FLOPs in {sum(one.agrees_on_flops for one in agreements)}, "
        f"peak memory within {PEAK_TOLERANCE:.0%} in {sum(one.agrees_on_peak for one in agreements)}"
    )


def _row(one: Agreement) -> tuple[str, ...]:
    simulated, real = one.simulated, one.real
    flops = "equal" if one.agrees_on_flops else f"{simulated.flops} / {real.flops}"
    return (
        one.case,
        str(one.seen_by_both.total()),
        str(one.only_simulated.total()),
        str(one.only_real.total()),
        f"{simulated.num_syncs} / {real.num_syncs}",
        flops,
        f"{simulated.operations} / {real.operations}",
        "-" if one.peak_ratio is None else f"{one.peak_ratio:.3f}",
    )


def _disagreements(agreements: Iterable[Agreement]) -> Iterator[str]:
    for one in agreements:
        for side, lines in (("only simulated", one.only_simulated), ("only real", one.only_real)):
            yield from (f"{side}: {count} x {line} ({one.case})" for line, count in lines.items())


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
