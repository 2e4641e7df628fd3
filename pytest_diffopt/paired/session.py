"""A session's two workers: started when the first test needs them, kept for all others, gone when the session ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.calibration import judge_calibration
from pytest_diffopt.guards.paired import PairedRule, judge_paired
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.options import Settings
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.messages import CountCall, Counted, EndedTest, FinishTest, Ready, RunTest, TimeCalls, Timed
from pytest_diffopt.paired.process import Worker, WorkerStart
from pytest_diffopt.paired.sampling import PairedSamples, repeats_for, sample_in_turn
from pytest_diffopt.probes.card import open_meter
from pytest_diffopt.progress import Tell
from pytest_diffopt.records import CalibrationRecord, PairedBlock, PairedRecord, Subject

IsDecided = Callable[[Sequence[PairedBlock]], bool]
OpenSides = Callable[[], AbstractContextManager[tuple[Side, Side]]]


#: Two processes of the same code differ a little: a calibration starts so many pairs of them.
_PAIRS_OF_PROCESSES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class _Workers:
    """Both workers, and the tests that each knows."""

    base: Worker
    head: Worker
    base_tests: frozenset[str]
    head_tests: frozenset[str]

    @property
    def both(self) -> tuple[Worker, Worker]:
        return self.base, self.head

    def lacking(self, nodeid: str) -> str:
        """Return which side has no such test; empty where both have it."""
        if nodeid not in self.base_tests:
            return self.base.name
        return "" if nodeid in self.head_tests else self.head.name


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
        self._workers: _Workers | None = None
        self._why_not_startable = ""

    def use_files(self, files: Sequence[str]) -> None:
        """Name the files of the tests that will be compared."""
        self._start = replace(self._start, files=tuple(files))

    def compare(self, nodeid: str, tell: Tell) -> tuple[PairedRecord, Verdict]:
        """Time a test's call in turn at base and at head, and judge it.

        Raises:
            ProbeError: a worker failed, died or was silent; both are ended, and the next test has new ones.
        """
        workers = self._running(tell)
        try:
            with _at_their_call(workers, nodeid, tell) as ready:
                if isinstance(ready, str):
                    return self._judged(_lacking(workers, nodeid), ready)
                return self._compared(workers, ready, tell)
        except BaseException:
            self._end_workers()
            raise

    def calibrate(self, nodeid: str, tell: Tell) -> tuple[CalibrationRecord, Verdict]:
        """Time a test's call in turn by pairs of processes of the same code, and say what could be seen with them.

        Raises:
            ProbeError: a worker failed, died or was silent.
        """
        seconds = self._settings.paired_max_seconds / _PAIRS_OF_PROCESSES
        timed: list[PairedSamples] = []
        for _ in range(_PAIRS_OF_PROCESSES):
            workers = self._running(tell)
            try:
                with _at_their_call(workers, nodeid, tell) as ready:
                    assert not isinstance(ready, str), "unreachable because both have the same tests"  # noqa: S101
                    timed.append(_sampled(workers, ready, lambda _blocks: False, seconds, tell))
                    head = ready.head
            finally:
                self._end_workers()
        record = CalibrationRecord(
            subject=head.subject,
            repeats=timed[0].repeats,
            pairs=tuple(tuple(samples.blocks) for samples in timed),
            spent_seconds=sum(samples.spent_seconds for samples in timed),
        )
        margin, budget = self._settings.paired_margin, self._settings.paired_max_seconds
        tell("drawing sessions from what was timed")
        return record, judge_calibration(record, margin=margin, max_seconds=budget, environment=head.environment)

    def close(self) -> None:
        """End both workers and take the temporary work tree away."""
        self._end_workers()
        self._resources.close()
        self._sides = None

    def _compared(self, workers: _Workers, ready: "_BothReady", tell: Tell) -> tuple[PairedRecord, Verdict]:
        rule = self._rule()
        samples = _sampled(workers, ready, rule.is_decided, self._settings.paired_max_seconds, tell)
        record = PairedRecord(
            subject=ready.head.subject,
            base=workers.base.side.label,
            head=workers.head.side.label,
            repeats=samples.repeats,
            blocks=tuple(samples.blocks),
            throttled_blocks=tuple(samples.throttled),
            spent_seconds=samples.spent_seconds,
            num_steps=ready.head.num_steps,
            card=samples.card,
        )
        if samples.blocks and rule.outcome(rule.bound(samples.blocks)) in {Outcome.REGRESSED, Outcome.IMPROVED}:
            tell("counting what changed")
            record = _with_counts(record, workers)
        return self._judged(record, ready)

    def _judged(self, record: PairedRecord, ready: "_BothReady | str") -> tuple[PairedRecord, Verdict]:
        from pytest_diffopt.environment import capture_environment  # noqa: PLC0415 - asks the packages for versions

        environment = capture_environment(record.subject.device) if isinstance(ready, str) else ready.head.environment
        verdict = judge_paired(record, self._rule(), environment=environment)
        self._num_regressed += verdict.outcome is Outcome.REGRESSED
        return record, verdict

    def _rule(self) -> PairedRule:
        return PairedRule.for_case(
            margin=self._settings.paired_margin, num_cases=self.num_cases, num_regressed=self._num_regressed
        )

    def _running(self, tell: Tell) -> _Workers:
        if self._why_not_startable:
            raise ProbeError(self._why_not_startable)
        if self._workers is None:
            tell("starting base and head")
            if self._sides is None:
                self._sides = self._resources.enter_context(self._open_sides())
            try:
                self._workers = _started(*self._sides, self._start)
            except ProbeError as error:  # it would be the same for every test
                self._why_not_startable = str(error)
                raise
        return self._workers

    def _end_workers(self) -> None:
        workers, self._workers = self._workers, None
        for worker in workers.both if workers else ():
            worker.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _BothReady:
    """What both workers said when their call was warm."""

    base: Ready
    head: Ready


def _started(base: Side, head: Side, start: WorkerStart) -> _Workers:
    """Start both at once, and wait for each."""
    with ExitStack() as on_failure:
        workers = []
        for name, side, other in (("base", base, head), ("head", head, base)):
            workers.append(Worker(name, side, other, start))
            on_failure.callback(workers[-1].close)
        tests = [worker.collected() for worker in workers]
        on_failure.pop_all()
    return _Workers(base=workers[0], head=workers[1], base_tests=tests[0], head_tests=tests[1])


@contextmanager
def _at_their_call(workers: _Workers, nodeid: str, tell: Tell) -> "Iterator[_BothReady | str]":
    """Bring both workers to the call of a test, one after the other, and let the test end afterwards.

    Yields:
        What both said; or which side has no such test.
    """
    lacking = workers.lacking(nodeid)
    if lacking:
        yield lacking
        return
    answers = []
    for worker in workers.both:
        tell(f"building and warming up at {worker.name}")
        answers.append(_brought_to_call(worker, nodeid))
    ready = _BothReady(base=answers[0], head=answers[1])
    _refuse_mixed_code(workers, ready)
    yield ready
    for worker in workers.both:
        ended = worker.ask(FinishTest(), Ready | EndedTest, doing=f"ending {nodeid}")
        if isinstance(ended, Ready):
            msg = f"{nodeid} checks a latency twice: one test has one latency"
            raise ProbeError(msg)


def _brought_to_call(worker: Worker, nodeid: str) -> Ready:
    answer: Ready | EndedTest = worker.ask(
        RunTest(nodeid=nodeid), Ready | EndedTest, doing=f"building what {nodeid} times"
    )
    if isinstance(answer, Ready):
        return answer
    version = f"at {worker.side.label}"
    if answer.outcome == "skipped":
        pytest.skip(f"skipped {version}: {answer.text}")
    why = "never came to latency_baseline.check(...)" if answer.outcome == "passed" else "failed before its call"
    msg = f"the test {why} {version}\n{answer.text}".rstrip()
    raise ProbeError(msg)


def _refuse_mixed_code(workers: _Workers, ready: _BothReady) -> None:
    """Refuse two sides that run the same code: their comparison would always be green."""
    for worker, answer, other in ((workers.base, ready.base, workers.head), (workers.head, ready.head, workers.base)):
        if answer.foreign_modules:
            names = ", ".join(answer.foreign_modules[:3])
            msg = (
                f"the {worker.name} worker, {worker.side.label}, imports {names} from {other.side.tree}, "
                f"not from {worker.side.tree}: both sides would run the same code"
            )
            raise ProbeError(msg)
        if not answer.own_modules:
            msg = (
                f"the {worker.name} worker, {worker.side.label}, imports nothing from {worker.side.tree}: "
                "there is nothing to compare; name the folder of a package that the test uses with --diffopt-editable"
            )
            raise ProbeError(msg)


def _sampled(
    workers: _Workers, ready: _BothReady, is_decided: IsDecided, max_seconds: float, tell: Tell
) -> PairedSamples:
    def timing(worker: Worker) -> Callable[[int], int]:
        def time_calls(repeats: int) -> int:
            answer: Timed = worker.ask(TimeCalls(repeats=repeats), Timed, doing="timing a call")
            return answer.duration_ns

        return time_calls

    base, head = timing(workers.base), timing(workers.head)
    repeats = repeats_for(ready.base.warmup_ns, ready.head.warmup_ns)
    for time_calls in (base, head):  # one of them waited while the other warmed up
        time_calls(repeats)
    meter = None
    if ready.head.card_uuid:
        meter = open_meter(ready.head.card_uuid, own_pids=lambda: {worker.pid for worker in workers.both})
    return sample_in_turn(
        base, head, repeats=repeats, max_seconds=max_seconds, is_decided=is_decided, meter=meter, tell=tell
    )


def _with_counts(record: PairedRecord, workers: _Workers) -> PairedRecord:
    answers: list[Counted] = [
        worker.ask(CountCall(), Counted, doing="counting on the simulated GPU") for worker in workers.both
    ]
    why_not = next((answer.why_not for answer in answers if answer.why_not), "")
    return replace(record, base_counts=answers[0].record, head_counts=answers[1].record, why_not_counted=why_not)


def _lacking(workers: _Workers, nodeid: str) -> PairedRecord:
    return PairedRecord(
        subject=Subject(pipeline=nodeid),
        base=workers.base.side.label,
        head=workers.head.side.label,
        lacking=workers.lacking(nodeid),
    )
