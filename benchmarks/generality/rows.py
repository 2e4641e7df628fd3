"""What came of each pipeline, as a line of JSON, a row of the table and a share of the totals."""

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

TOLERANCE = 1e-4
MOST_TIMES = 1.5


class Outcome(enum.Enum):
    """How far a pipeline came."""

    RAN = "ran"
    NOT_BUILT = "not built"
    FAILED = "failed"
    CRASHED = "crashed"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline.

    Attributes:
        group: the folder of diffusers' tests.
        case: file and class in it; empty where a whole file could not be read.
        outcome: how far it came.
        reason: why no further.
        cpu_s: processor time of its call on the CPU, one for each round.
        simulated_s: processor time on the simulated GPU: entering, moving, the call and moving back.
        operations: what it launched.
        difference: greatest difference of the outputs; None where they are not comparable.
        difference_laid_out_alike: the same with the CPU's `group_norm` given a contiguous input, as CUDA's has it;
            looked at only where the first is too large.
        unmodelled: operations that the simulated GPU knows no rule for.
        is_restored: whether each parameter came back in the memory that it had.
    """

    group: str
    case: str
    outcome: Outcome
    reason: str = ""
    cpu_s: tuple[float, ...] = ()
    simulated_s: tuple[float, ...] = ()
    operations: int = 0
    difference: float | None = None
    difference_laid_out_alike: float | None = None
    unmodelled: tuple[str, ...] = ()
    is_restored: bool = True

    @property
    def name(self) -> str:
        """What the pipeline is called among all."""
        return f"{self.group}/{self.case}"

    @property
    def times(self) -> float:
        """How many times the CPU's processor time the simulated GPU took."""
        return sum(self.simulated_s) / sum(self.cpu_s)

    @property
    def is_right(self) -> bool:
        """Whether the output is the CPU's within the tolerance, both laid out alike."""
        seen = (self.difference, self.difference_laid_out_alike)
        return any(one is not None and one <= TOLERANCE for one in seen)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's word that it is through with a group."""

    done: str


def read(file: Path) -> tuple[list[Row], set[str]]:
    """Return the rows that a file holds, and the groups that are done; a broken last line is a worker that was killed.

    Raises:
        SystemExit: a line is none of ours.
    """
    rows: list[Row] = []
    done: set[str] = set()
    lines = file.read_bytes().split(b"\n") if file.exists() else []
    for number, line in enumerate(lines, 1):
        if not line or number == len(lines):
            continue
        try:
            one = msgspec.json.decode(line, type=dict[str, object])
            if "done" in one:
                done.add(str(one["done"]))
            else:
                rows.append(msgspec.convert(one, Row))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            message = f"{file}, line {number}: {error}; give --json another file, or remove this one to start anew"
            raise SystemExit(message) from error
    return rows, done


def table(rows: Sequence[Row]) -> Iterable[str]:
    """Yield a line for each pipeline that ran, and one for each that did not with the reason."""
    width = max((len(row.name) for row in rows), default=0)
    yield f"{'pipeline':<{width}} {'CPU':>9} {'simulated':>10} {'times':>6} {'difference':>11}"
    for row in rows:
        if row.outcome is not Outcome.RAN:
            yield f"{row.name:<{width}} {row.outcome.value}: {row.reason[:120]}"
            continue
        cpu_ms, simulated_ms = sum(row.cpu_s) * 1e3, sum(row.simulated_s) * 1e3
        difference = "none" if row.difference == 0 else "?" if row.difference is None else f"{row.difference:.1e}"
        remarks = [
            f"{row.difference_laid_out_alike:.1e} laid out alike" if row.difference_laid_out_alike is not None else "",
            f"unmodelled: {', '.join(row.unmodelled)}" if row.unmodelled else "",
            "" if row.is_restored else "NOT RESTORED",
        ]
        said = "  " + "; ".join(filter(None, remarks)) if any(remarks) else ""
        yield f"{row.name:<{width}} {cpu_ms:>6.0f} ms {simulated_ms:>7.0f} ms {row.times:>6.2f} {difference:>11}{said}"


def totals(rows: Sequence[Row]) -> Iterable[str]:
    """Yield what the rows come to."""
    count = Counter(row.outcome for row in rows)
    ran = [row for row in rows if row.outcome is Outcome.RAN]
    tried = [row for row in rows if row.outcome is not Outcome.NOT_BUILT]
    yield f"{len(ran)} of {len(tried)} pipelines ran; {count[Outcome.NOT_BUILT]} could not be built on the CPU either"
    if not ran:
        return
    within = sum(row.difference is not None and row.difference <= TOLERANCE for row in ran)
    exact = sum(row.difference == 0 for row in ran)
    right = sum(row.is_right for row in ran)
    yield f"{within} give the CPU's output within {TOLERANCE:g}, {exact} of them exactly; {right} laid out alike"
    yield f"{sum(row.is_restored for row in ran)} came back in the memory that they had"
    cpu_s, simulated_s = (sum(sum(times) for times in column) for column in _columns(ran))
    operations = sum(row.operations * len(row.cpu_s) for row in ran)
    each_us = (simulated_s - cpu_s) / operations * 1e6 if operations else 0.0
    times = sorted(row.times for row in ran)
    yield (
        f"processor time: CPU {cpu_s:.1f} s, simulated GPU {simulated_s:.1f} s, {simulated_s / cpu_s:.2f} times as "
        f"much ({MOST_TIMES} allowed); the middle pipeline {times[len(times) // 2]:.2f} times; "
        f"{each_us:.0f} us more an operation"
    )


def _columns(rows: Sequence[Row]) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    return [row.cpu_s for row in rows], [row.simulated_s for row in rows]


def is_kept(rows: Sequence[Row]) -> bool:
    """Tell whether what is promised holds: all run, all are right, and the time is within bounds."""
    ran = [row for row in rows if row.outcome is Outcome.RAN]
    cpu_s, simulated_s = (sum(sum(times) for times in column) for column in _columns(ran))
    tried = [row for row in rows if row.outcome is not Outcome.NOT_BUILT]
    return len(ran) == len(tried) > 0 and all(row.is_right for row in ran) and simulated_s <= MOST_TIMES * cpu_s
