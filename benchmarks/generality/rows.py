"""The result of each pipeline: as a line of JSON, as a row of the table, and in the totals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.diffusers_tests import results
from benchmarks.diffusers_tests.results import Outcome, Result

TOLERANCE = 1e-4
MAX_RATIO = 1.5


class Row(Result, frozen=True, kw_only=True):
    """The result of one pipeline.

    Attributes:
        cpu_s: CPU time of the call on the CPU, for each round.
        simulated_s: CPU time on the simulated GPU, for each round: entering, moving, the call and moving back.
        operations: number of launched operations.
        difference: maximum difference of the outputs; None if they are not comparable.
        difference_laid_out_alike: the same if the CPU's `group_norm` gets a contiguous input, as in CUDA's kernel;
            computed only if `difference` is too large.
        unmodelled: operations for which the simulated GPU has no rule.
        is_restored: whether each parameter is back in its original memory.
    """

    cpu_s: tuple[float, ...] = ()
    simulated_s: tuple[float, ...] = ()
    operations: int = 0
    difference: float | None = None
    difference_laid_out_alike: float | None = None
    unmodelled: tuple[str, ...] = ()
    is_restored: bool = True

    @property
    def ratio(self) -> float:
        """Ratio of the CPU time on the simulated GPU to that on the CPU."""
        return sum(self.simulated_s) / sum(self.cpu_s)

    @property
    def is_right(self) -> bool:
        """Whether the output equals the CPU's within the tolerance, at least with the same memory layout."""
        differences = (self.difference, self.difference_laid_out_alike)
        return any(one is not None and one <= TOLERANCE for one in differences)


def read(file: Path) -> tuple[list[Row], set[str]]:
    """Return the rows of a file and the completed groups, as `results.read` does."""
    return results.read(file, Row, option="--json")


def table(rows: Sequence[Row]) -> Iterable[str]:
    """Yield a line for each pipeline: the figures if it ran, else the reason."""
    width = max((len(row.name) for row in rows), default=0)
    yield f"{'pipeline':<{width}} {'CPU':>9} {'simulated':>10} {'ratio':>6} {'difference':>11}"
    for row in rows:
        if row.outcome is not Outcome.RAN:
            yield f"{row.name:<{width}} {row.outcome.value}: {row.reason[:120]}"
            continue
        cpu_ms, simulated_ms = sum(row.cpu_s) * 1e3, sum(row.simulated_s) * 1e3
        difference = "none" if row.difference == 0 else "?" if row.difference is None else f"{row.difference:.1e}"
        remarks = [
            f"{row.difference_laid_out_alike:.1e} with the same layout"
            if row.difference_laid_out_alike is not None
            else "",
            f"unmodelled: {', '.join(row.unmodelled)}" if row.unmodelled else "",
            "" if row.is_restored else "NOT RESTORED",
        ]
        notes = "  " + "; ".join(filter(None, remarks)) if any(remarks) else ""
        yield f"{row.name:<{width}} {cpu_ms:>6.0f} ms {simulated_ms:>7.0f} ms {row.ratio:>6.2f} {difference:>11}{notes}"


def totals(rows: Sequence[Row]) -> Iterable[str]:
    """Yield the totals over the rows."""
    count = Counter(row.outcome for row in rows)
    ran = [row for row in rows if row.outcome is Outcome.RAN]
    tried = [row for row in rows if row.outcome is not Outcome.NOT_BUILT]
    yield f"{len(ran)} of {len(tried)} pipelines ran; {count[Outcome.NOT_BUILT]} more could not be built on the CPU"
    if not ran:
        return
    within = sum(row.difference is not None and row.difference <= TOLERANCE for row in ran)
    exact = sum(row.difference == 0 for row in ran)
    right = sum(row.is_right for row in ran)
    yield f"{within} match the CPU's output within {TOLERANCE:g}, {exact} of them exactly; {right} with the same layout"
    yield f"{sum(row.is_restored for row in ran)} are back in their original memory"
    cpu_s, simulated_s = (sum(sum(times) for times in column) for column in _columns(ran))
    operations = sum(row.operations * len(row.cpu_s) for row in ran)
    each_us = (simulated_s - cpu_s) / operations * 1e6 if operations else 0.0
    ratios = sorted(row.ratio for row in ran)
    yield (
        f"CPU time: CPU {cpu_s:.1f} s, simulated GPU {simulated_s:.1f} s, ratio {simulated_s / cpu_s:.2f} "
        f"({MAX_RATIO} allowed); median ratio {ratios[len(ratios) // 2]:.2f}; {each_us:.0f} us more per operation"
    )


def _columns(rows: Sequence[Row]) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    return [row.cpu_s for row in rows], [row.simulated_s for row in rows]


def passes(rows: Sequence[Row]) -> bool:
    """Return whether all pipelines run and match the CPU, and the time is within the limit."""
    ran = [row for row in rows if row.outcome is Outcome.RAN]
    cpu_s, simulated_s = (sum(sum(times) for times in column) for column in _columns(ran))
    tried = [row for row in rows if row.outcome is not Outcome.NOT_BUILT]
    return len(ran) == len(tried) > 0 and all(row.is_right for row in ran) and simulated_s <= MAX_RATIO * cpu_s
