"""The paired session: pairs of processes time its tests in rounds, until each test is decided."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate

import pytest

from pytest_diffopt.environment import capture_environment
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.calibration import judge_calibration
from pytest_diffopt.guards.paired_latency import PairedRule, judge_paired
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.messages import Ready
from pytest_diffopt.paired.process import WorkerStart
from pytest_diffopt.paired.process_pair import (
    BothReady,
    Workers,
    paused_at_call,
    start_workers,
    time_pair,
    with_counts,
)
from pytest_diffopt.paired.sampling import SamplingPlan
from pytest_diffopt.records import (
    CalibrationRecord,
    Device,
    GPURecord,
    PairedRecord,
    Subject,
)
from pytest_diffopt.session.device import device_of
from pytest_diffopt.session.progress import ProgressCallback
from pytest_diffopt.session.settings import Settings
from pytest_diffopt.statistics.sequential import FEWEST_PAIRS_OF_A_CHANGE, LOOKS

_HALF = 0.5
_NOT_PINNED = "this system cannot pin a process to a core"

OpenSides = Callable[[], AbstractContextManager[tuple[Side, Side]]]

#: The shortest time for which a pair of processes times a test: starting both takes longer.
_LEAST_PAIR_SECONDS = 1.0


@dataclass(kw_only=True)
class _Case:
    """One test of the session.

    Attributes:
        record: what was timed so far; None before the first pair of processes.
        ready: the answer of head when its call was first warm; None if nothing was compared.
        ended: whether no further pair of processes times this test.
        failure: what ended the test instead of a record, raised when its turn comes.
    """

    record: PairedRecord | None = None
    ready: Ready | None = None
    ended: bool = False
    failure: BaseException | None = None


class PairedSession:
    """Compares the tests of a pytest session.

    The session is timed in rounds. Each round starts a new pair of processes, which times the tests that are still
    open, so that the tests share the time that starting takes.
    """

    def __init__(self, settings: Settings, open_sides: OpenSides, start: WorkerStart) -> None:
        """Prepare a session; workers are started by the first comparison.

        Args:
            settings: the options of this run.
            open_sides: checks out base and head.
            start: the arguments of the workers.
        """
        self._settings = settings
        self._open_sides = open_sides
        self._start = start
        self._cases: dict[str, _Case] = {}
        self._regressed: set[str] = set()
        self._num_rounds = 0
        self._resources = ExitStack()
        self._sides: tuple[Side, Side] | None = None
        self._why_not_startable = ""

    def use_tests(self, nodeids: Sequence[str]) -> None:
        """Set the tests to compare, in the order in which they run."""
        self._cases = {nodeid: _Case() for nodeid in nodeids}
        self._start = replace(self._start, files=tuple(dict.fromkeys(one.partition("::")[0] for one in nodeids)))

    def compare(self, nodeid: str, progress: ProgressCallback) -> tuple[PairedRecord, Verdict]:
        """Time a test's call at base and at head, and judge the difference.

        Raises:
            ProbeError: a worker failed, exited or did not answer. Both are terminated; the next round starts new ones.
        """
        case, record = self._timed(nodeid, progress)
        environment = case.ready.environment if case.ready else capture_environment(record.subject.device)
        return record, judge_paired(record, self._rule(nodeid), environment=environment)

    def calibrate(self, nodeid: str, progress: ProgressCallback) -> tuple[CalibrationRecord, Verdict]:
        """Time a test's call by pairs of processes of the same code, and report which slowdowns could be detected.

        Raises:
            ProbeError: a worker failed, exited or did not answer.
        """
        case, timed = self._timed(nodeid, progress)
        assert case.ready is not None, "unreachable: both sides have the same tests"  # noqa: S101
        progress("simulating sessions with the measured spread")
        record, rule = _calibration_record(timed), self._rule(nodeid).sequential
        return record, judge_calibration(record, rule=rule, environment=case.ready.environment)

    def close(self) -> None:
        """Remove the temporary git worktree."""
        self._resources.close()
        self._sides = None

    def _timed(self, nodeid: str, progress: ProgressCallback) -> tuple[_Case, PairedRecord]:
        """Return a test that has ended, after as many rounds as it needs, and its record."""
        case = self._cases[nodeid]
        while not case.ended:
            self._time_round(nodeid, progress)
        self._cases[nodeid] = _Case()  # a repeated test is timed from scratch
        if case.failure is not None:
            raise case.failure
        assert case.record is not None, "unreachable: a test ends with a record or a failure"  # noqa: S101
        return case, case.record

    def _time_round(self, first: str, progress: ProgressCallback) -> None:
        """Let a new pair of processes time the open tests, from `first` on; a worker that fails ends the round."""
        nodeids = list(self._cases)
        with self._new_pair(progress) as workers:
            for nodeid in (one for one in nodeids[nodeids.index(first) :] if not self._cases[one].ended):
                try:
                    self._time_case(nodeid, workers, progress)
                except (ProbeError, pytest.skip.Exception) as failure:
                    self._cases[nodeid].failure, self._cases[nodeid].ended = failure, True
                    return

    def _time_case(self, nodeid: str, workers: Workers, progress: ProgressCallback) -> None:
        case = self._cases[nodeid]
        with paused_at_call(workers, nodeid, progress, at_once=self._starts_at_once) as ready:
            if isinstance(ready, str):
                case.record, case.ended = _incomparable_record(workers, nodeid), True
                return
            case.ready = case.ready or ready.head
            case.record = self._with_blocks_of(case.record or _new_record(workers, ready), workers, ready, progress)
            outcome = self._rule(nodeid).outcome(case.record)
            case.ended = self._is_settled(case.record, outcome)
            if outcome in {Outcome.REGRESSED, Outcome.IMPROVED} and not self._settings.calibrate:
                progress("counting what changed")
                case.record = with_counts(case.record, workers)
            if outcome is Outcome.REGRESSED:
                self._regressed.add(nodeid)

    def _with_blocks_of(
        self, record: PairedRecord, workers: Workers, ready: BothReady, progress: ProgressCallback
    ) -> PairedRecord:
        """Add the blocks that this pair of processes times."""
        seconds = self._pair_seconds(record)
        plan = SamplingPlan(timing=record.timing, repeats=record.repeats, max_seconds=seconds, seed=self._num_rounds)
        samples = time_pair(workers, ready, plan, progress=progress)
        return replace(
            record,
            timing=samples.plan.timing,
            why_interleaved=record.why_interleaved or ("" if samples.plan == plan else _NOT_PINNED),
            blocks=(*record.blocks, *samples.blocks),
            throttled_blocks=(*record.throttled_blocks, *samples.throttled),
            blocks_of_pairs=(*record.blocks_of_pairs, len(samples.blocks)),
            spent_seconds=record.spent_seconds + samples.spent_seconds,
            gpu=_merged_readings(record.gpu, samples.gpu),
        )

    def _pair_seconds(self, record: PairedRecord) -> float:
        """Return how long the next pair of processes times a test, so that the budget suffices for the last look."""
        left = self._settings.paired_max_seconds - record.spent_seconds
        return max(_LEAST_PAIR_SECONDS, left / (LOOKS[-1] - len(record.blocks_of_pairs)))

    def _is_settled(self, record: PairedRecord, outcome: Outcome) -> bool:
        """Return whether the verdict is decided, or the budget is spent; the fewest pairs are timed in any case."""
        is_decided = outcome is not Outcome.INCONCLUSIVE and not self._settings.calibrate
        pairs = len(record.blocks_of_pairs)
        is_spent = record.spent_seconds >= self._settings.paired_max_seconds and pairs >= FEWEST_PAIRS_OF_A_CHANGE
        return is_decided or is_spent or pairs >= LOOKS[-1]

    def _rule(self, nodeid: str) -> PairedRule:
        regressed = len(self._regressed - {nodeid})
        return PairedRule.for_case(
            margin=self._settings.paired_margin, num_cases=len(self._cases), num_regressed=regressed
        )

    @property
    def _starts_at_once(self) -> bool:
        """Whether both processes build their pipelines at the same time: only a GPU's memory may be too small."""
        return device_of(self._settings) is not Device.CUDA

    @contextmanager
    def _new_pair(self, progress: ProgressCallback) -> Iterator[Workers]:
        """Run base and head while the block runs; which of them starts first is random."""
        if self._why_not_startable:
            raise ProbeError(self._why_not_startable)
        progress(f"starting base and head, pair {self._num_rounds + 1}")
        if self._sides is None:
            self._sides = self._resources.enter_context(self._open_sides())
        head_first = random.Random(self._num_rounds).random() < _HALF  # noqa: S311 - an order, not a secret
        try:
            workers = start_workers(*self._sides, self._start, head_first=head_first)
        except ProbeError as error:  # every other test would fail in the same way
            self._why_not_startable = str(error)
            raise
        self._num_rounds += 1
        try:
            yield workers
        finally:
            for worker in workers.both:
                worker.close()


def _calibration_record(record: PairedRecord) -> CalibrationRecord:
    ends = list(accumulate(record.blocks_of_pairs))
    pairs = (record.blocks[end - count : end] for count, end in zip(record.blocks_of_pairs, ends, strict=True) if count)
    return CalibrationRecord(
        subject=record.subject,
        timing=record.timing,
        repeats=record.repeats,
        pairs=tuple(pairs),
        spent_seconds=record.spent_seconds,
    )


def _new_record(workers: Workers, ready: BothReady) -> PairedRecord:
    return PairedRecord(
        subject=ready.head.subject,
        base=workers.base.side.label,
        head=workers.head.side.label,
        timing=ready.timing,
        why_interleaved=ready.why_interleaved,
        repeats=ready.repeats,
        num_steps=ready.head.num_steps,
    )


def _merged_readings(earlier: GPURecord | None, later: GPURecord | None) -> GPURecord | None:
    if earlier is None or later is None:
        return earlier or later
    unreadable = tuple(dict.fromkeys((*earlier.unreadable, *later.unreadable)))
    return GPURecord(readings=(*earlier.readings, *later.readings), unreadable=unreadable)


def _incomparable_record(workers: Workers, nodeid: str) -> PairedRecord:
    return PairedRecord(
        subject=Subject(pipeline=nodeid),
        base=workers.base.side.label,
        head=workers.head.side.label,
        lacking=workers.lacking(nodeid),
    )
