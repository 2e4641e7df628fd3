"""A session's two workers: started when the first test needs them, kept for all others, gone when the session ends."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.calibration import judge_calibration
from pytest_diffopt.guards.paired_latency import PairedRule, judge_paired
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.process import WorkerStart
from pytest_diffopt.paired.process_pair import (
    BothReady,
    Workers,
    at_their_call,
    start_workers,
    time_pair,
    with_counts,
)
from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan
from pytest_diffopt.records import CalibrationRecord, GPURecord, PairedBlock, PairedRecord, PairedTiming, Subject
from pytest_diffopt.session.progress import ProgressCallback
from pytest_diffopt.session.settings import Settings
from pytest_diffopt.statistics.sequential import PAIRS_OF_PROCESSES

_NOT_BOUND = "this system binds no process to a core"

OpenSides = Callable[[], AbstractContextManager[tuple[Side, Side]]]


class PairedSession:
    """Compares one test after the other."""

    def __init__(self, settings: Settings, open_sides: OpenSides, start: WorkerStart) -> None:
        """Prepare; nothing is started before the first comparison.

        Args:
            settings: what the user asked for.
            open_sides: puts base beside head.
            start: what workers are started with.
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
        """Name the files of the tests that will be compared."""
        self._start = replace(self._start, files=tuple(files))

    def compare(self, nodeid: str, progress: ProgressCallback) -> tuple[PairedRecord, Verdict]:
        """Time a test's call at base and at head, and judge it.

        Two processes of the same code differ a little, for as long as they live: what the first pair leaves open is
        timed by others.

        Raises:
            ProbeError: a worker failed, died or was silent; both are ended, and the next test has new ones.
        """
        record: PairedRecord | None = None
        while True:
            workers = self._running(progress)
            try:
                with at_their_call(workers, nodeid, progress, at_once=not self._settings.use_gpu) as ready:
                    if isinstance(ready, str):
                        return self._judged(_lacking(workers, nodeid), ready)
                    record = self._timed_further(record or _begun(workers, ready), workers, ready, progress)
                    if self._is_settled(record):
                        return self._judged(self._with_cause(record, workers, progress), ready)
            except BaseException:
                self._end_workers()
                raise
            self._end_workers()

    def calibrate(self, nodeid: str, progress: ProgressCallback) -> tuple[CalibrationRecord, Verdict]:
        """Time a test's call by pairs of processes of the same code, and say what could be seen with them.

        Raises:
            ProbeError: a worker failed, died or was silent.
        """
        timed: list[PairedSamples] = []
        for number in range(PAIRS_OF_PROCESSES):
            workers = self._running(progress)
            try:
                with at_their_call(workers, nodeid, progress, at_once=not self._settings.use_gpu) as ready:
                    assert not isinstance(ready, str), "unreachable because both have the same tests"  # noqa: S101
                    first = timed[0].plan if timed else self._plan(ready.timing, ready.repeats)
                    plan = replace(first, seed=number)
                    timed.append(time_pair(workers, ready, plan, is_decided=_never, progress=progress))
                    head = ready.head
            finally:
                self._end_workers()
        record = CalibrationRecord(
            subject=head.subject,
            timing=timed[0].plan.timing,
            repeats=timed[0].plan.repeats,
            pairs=tuple(tuple(samples.blocks) for samples in timed),
            spent_seconds=sum(samples.spent_seconds for samples in timed),
        )
        margin, budget = self._settings.paired_margin, self._settings.paired_max_seconds
        progress("drawing sessions from what was timed")
        return record, judge_calibration(record, margin=margin, max_seconds=budget, environment=head.environment)

    def close(self) -> None:
        """End both workers and take the temporary work tree away."""
        self._end_workers()
        self._resources.close()
        self._sides = None

    def _timed_further(
        self, record: PairedRecord, workers: Workers, ready: BothReady, progress: ProgressCallback
    ) -> PairedRecord:
        """Add what this pair of processes times in its share of the budget."""
        rule, earlier = self._rule(record), record.blocks_of_pairs

        def is_decided(blocks: Sequence[PairedBlock]) -> bool:
            return rule.is_decided((*record.blocks, *blocks), blocks_of_pairs=(*earlier, len(blocks)))

        plan = replace(self._plan(record.timing, record.repeats), seed=len(earlier))
        samples = time_pair(workers, ready, plan, is_decided=is_decided, progress=progress)
        return replace(
            record,
            timing=samples.plan.timing,
            why_interleaved=record.why_interleaved or ("" if samples.plan == plan else _NOT_BOUND),
            blocks=(*record.blocks, *samples.blocks),
            throttled_blocks=(*record.throttled_blocks, *samples.throttled),
            blocks_of_pairs=(*earlier, len(samples.blocks)),
            spent_seconds=record.spent_seconds + samples.spent_seconds,
            gpu=_joined(record.gpu, samples.gpu),
        )

    def _plan(self, timing: PairedTiming, repeats: int) -> SamplingPlan:
        """Return how each pair of processes is timed, within its share of the budget; its number is its seed."""
        seconds = self._settings.paired_max_seconds / PAIRS_OF_PROCESSES
        return SamplingPlan(timing=timing, repeats=repeats, max_seconds=seconds)

    def _is_settled(self, record: PairedRecord) -> bool:
        """Tell whether another pair of processes would change nothing, or has no more time."""
        return len(record.blocks_of_pairs) >= PAIRS_OF_PROCESSES or self._outcome(record) is not Outcome.INCONCLUSIVE

    def _with_cause(self, record: PairedRecord, workers: Workers, progress: ProgressCallback) -> PairedRecord:
        """Count what both sides do where one is slower."""
        if self._outcome(record) not in {Outcome.REGRESSED, Outcome.IMPROVED}:
            return record
        progress("counting what changed")
        return with_counts(record, workers)

    def _outcome(self, record: PairedRecord) -> Outcome:
        return self._rule(record).outcome(record.blocks, blocks_of_pairs=record.blocks_of_pairs)

    def _judged(self, record: PairedRecord, ready: BothReady | str) -> tuple[PairedRecord, Verdict]:
        from pytest_diffopt.environment import capture_environment  # noqa: PLC0415 - asks the packages for versions

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

    def _running(self, progress: ProgressCallback) -> Workers:
        if self._why_not_startable:
            raise ProbeError(self._why_not_startable)
        if self._workers is None:
            progress("starting base and head")
            if self._sides is None:
                self._sides = self._resources.enter_context(self._open_sides())
            try:
                self._workers = start_workers(*self._sides, self._start)
            except ProbeError as error:  # it would be the same for every test
                self._why_not_startable = str(error)
                raise
        return self._workers

    def _end_workers(self) -> None:
        workers, self._workers = self._workers, None
        for worker in workers.both if workers else ():
            worker.close()


def _never(_blocks: Sequence[PairedBlock]) -> bool:
    return False


def _begun(workers: Workers, ready: BothReady) -> PairedRecord:
    return PairedRecord(
        subject=ready.head.subject,
        base=workers.base.side.label,
        head=workers.head.side.label,
        timing=ready.timing,
        why_interleaved=ready.why_interleaved,
        repeats=ready.repeats,
        num_steps=ready.head.num_steps,
    )


def _joined(earlier: GPURecord | None, later: GPURecord | None) -> GPURecord | None:
    if earlier is None or later is None:
        return earlier or later
    unreadable = tuple(dict.fromkeys((*earlier.unreadable, *later.unreadable)))
    return GPURecord(readings=(*earlier.readings, *later.readings), unreadable=unreadable)


def _lacking(workers: Workers, nodeid: str) -> PairedRecord:
    return PairedRecord(
        subject=Subject(pipeline=nodeid),
        base=workers.base.side.label,
        head=workers.head.side.label,
        lacking=workers.lacking(nodeid),
    )
