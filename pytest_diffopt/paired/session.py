"""The paired session: it starts both workers at the first comparison, and ends them with the pytest session."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

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
from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan
from pytest_diffopt.records import (
    CalibrationRecord,
    Device,
    GPURecord,
    PairedBlock,
    PairedRecord,
    PairedTiming,
    Subject,
)
from pytest_diffopt.session.device import device_of
from pytest_diffopt.session.progress import ProgressCallback
from pytest_diffopt.session.settings import Settings
from pytest_diffopt.statistics.sequential import PAIRS_OF_PROCESSES

_NOT_PINNED = "this system cannot pin a process to a core"

OpenSides = Callable[[], AbstractContextManager[tuple[Side, Side]]]


class PairedSession:
    """Compares the tests of a pytest session one at a time."""

    def __init__(self, settings: Settings, open_sides: OpenSides, start: WorkerStart) -> None:
        """Prepare a session; workers are started by the first comparison.

        Args:
            settings: the options of this run.
            open_sides: checks out base and head.
            start: the arguments of the workers.
        """
        self.num_cases = 1
        self._settings = settings
        self._open_sides = open_sides
        self._start = start
        self._num_regressed = 0
        self._resources = ExitStack()
        self._sides: tuple[Side, Side] | None = None
        self._workers: Workers | None = None
        self._why_not_startable = ""

    def use_files(self, files: Sequence[str]) -> None:
        """Set the files of the tests to compare."""
        self._start = replace(self._start, files=tuple(files))

    def compare(self, nodeid: str, progress: ProgressCallback) -> tuple[PairedRecord, Verdict]:
        """Time a test's call at base and at head, and judge the difference.

        Two processes of the same code differ slightly for their whole lifetime, so a test that the first pair of
        processes leaves undecided is timed by further pairs.

        Raises:
            ProbeError: a worker failed, exited or did not answer. Both are terminated; the next test starts new ones.
        """
        record: PairedRecord | None = None
        while True:
            workers = self._running_workers(progress)
            try:
                with paused_at_call(workers, nodeid, progress, at_once=self._starts_at_once) as ready:
                    if isinstance(ready, str):
                        return self._judged(_incomparable_record(workers, nodeid), ready)
                    record = self._with_blocks_of(record or _new_record(workers, ready), workers, ready, progress)
                    if self._is_settled(record):
                        return self._judged(self._with_cause(record, workers, progress), ready)
            except BaseException:
                self._end_workers()
                raise
            self._end_workers()

    def calibrate(self, nodeid: str, progress: ProgressCallback) -> tuple[CalibrationRecord, Verdict]:
        """Time a test's call by pairs of processes of the same code, and report which slowdowns could be detected.

        Raises:
            ProbeError: a worker failed, exited or did not answer.
        """
        timed: list[PairedSamples] = []
        for number in range(PAIRS_OF_PROCESSES):
            plan = timed[0].plan if timed else None
            samples, head = self._timed_by_new_pair(nodeid, plan, number=number, progress=progress)
            timed.append(samples)
        record = _calibration_record(head.subject, timed)
        margin, budget = self._settings.paired_margin, self._settings.paired_max_seconds
        progress("resampling sessions from the timed blocks")
        return record, judge_calibration(record, margin=margin, max_seconds=budget, environment=head.environment)

    def close(self) -> None:
        """End both workers and remove the temporary git worktree."""
        self._end_workers()
        self._resources.close()
        self._sides = None

    def _timed_by_new_pair(
        self, nodeid: str, plan: SamplingPlan | None, *, number: int, progress: ProgressCallback
    ) -> tuple[PairedSamples, Ready]:
        """Time a test's call by a new pair of processes; without a plan the warm calls determine it."""
        workers = self._running_workers(progress)
        try:
            with paused_at_call(workers, nodeid, progress, at_once=self._starts_at_once) as ready:
                assert not isinstance(ready, str), "unreachable: both sides have the same tests"  # noqa: S101
                plan = replace(plan or self._plan(ready.timing, ready.repeats), seed=number)
                return time_pair(workers, ready, plan, is_decided=_never, progress=progress), ready.head
        finally:
            self._end_workers()

    def _with_blocks_of(
        self, record: PairedRecord, workers: Workers, ready: BothReady, progress: ProgressCallback
    ) -> PairedRecord:
        """Add the blocks that this pair of processes times in its share of the budget."""
        rule, earlier = self._rule(record), record.blocks_of_pairs

        def is_decided(blocks: Sequence[PairedBlock]) -> bool:
            return rule.is_decided((*record.blocks, *blocks), blocks_of_pairs=(*earlier, len(blocks)))

        plan = replace(self._plan(record.timing, record.repeats), seed=len(earlier))
        samples = time_pair(workers, ready, plan, is_decided=is_decided, progress=progress)
        return replace(
            record,
            timing=samples.plan.timing,
            why_interleaved=record.why_interleaved or ("" if samples.plan == plan else _NOT_PINNED),
            blocks=(*record.blocks, *samples.blocks),
            throttled_blocks=(*record.throttled_blocks, *samples.throttled),
            blocks_of_pairs=(*earlier, len(samples.blocks)),
            spent_seconds=record.spent_seconds + samples.spent_seconds,
            gpu=_merged_readings(record.gpu, samples.gpu),
        )

    def _plan(self, timing: PairedTiming, repeats: int) -> SamplingPlan:
        """Return how each pair of processes is timed within its share of the budget; the caller sets the seed."""
        seconds = self._settings.paired_max_seconds / PAIRS_OF_PROCESSES
        return SamplingPlan(timing=timing, repeats=repeats, max_seconds=seconds)

    def _is_settled(self, record: PairedRecord) -> bool:
        """Return whether the verdict is decided, or no pair of processes is left in the budget."""
        return len(record.blocks_of_pairs) >= PAIRS_OF_PROCESSES or self._outcome(record) is not Outcome.INCONCLUSIVE

    def _with_cause(self, record: PairedRecord, workers: Workers, progress: ProgressCallback) -> PairedRecord:
        """Add the counts of both sides if they differ in speed."""
        if self._outcome(record) not in {Outcome.REGRESSED, Outcome.IMPROVED}:
            return record
        progress("counting what changed")
        return with_counts(record, workers)

    def _outcome(self, record: PairedRecord) -> Outcome:
        return self._rule(record).outcome(record.blocks, blocks_of_pairs=record.blocks_of_pairs)

    def _judged(self, record: PairedRecord, ready: BothReady | str) -> tuple[PairedRecord, Verdict]:

        environment = capture_environment(record.subject.device) if isinstance(ready, str) else ready.head.environment
        verdict = judge_paired(record, self._rule(record), environment=environment)
        self._num_regressed += verdict.outcome is Outcome.REGRESSED
        return record, verdict

    def _rule(self, record: PairedRecord) -> PairedRule:
        return PairedRule.for_case(
            margin=self._settings.paired_margin,
            num_cases=self.num_cases,
            num_regressed=self._num_regressed,
            timing=record.timing,
            device=record.subject.device,
        )

    @property
    def _starts_at_once(self) -> bool:
        """Whether both processes build their pipelines at the same time: only a GPU's memory may be too small."""
        return device_of(self._settings) is not Device.CUDA

    def _running_workers(self, progress: ProgressCallback) -> Workers:
        if self._why_not_startable:
            raise ProbeError(self._why_not_startable)
        if self._workers is None:
            progress("starting base and head")
            if self._sides is None:
                self._sides = self._resources.enter_context(self._open_sides())
            try:
                self._workers = start_workers(*self._sides, self._start)
            except ProbeError as error:  # every other test would fail in the same way
                self._why_not_startable = str(error)
                raise
        return self._workers

    def _end_workers(self) -> None:
        workers, self._workers = self._workers, None
        for worker in workers.both if workers else ():
            worker.close()


def _never(_blocks: Sequence[PairedBlock]) -> bool:
    return False


def _calibration_record(subject: Subject, timed: Sequence[PairedSamples]) -> CalibrationRecord:
    return CalibrationRecord(
        subject=subject,
        timing=timed[0].plan.timing,
        repeats=timed[0].plan.repeats,
        pairs=tuple(tuple(samples.blocks) for samples in timed),
        spent_seconds=sum(samples.spent_seconds for samples in timed),
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
