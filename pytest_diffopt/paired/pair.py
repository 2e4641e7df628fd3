"""A pair of processes, base and head: brought to the same call, timed in turn, counted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.cores import share_core
from pytest_diffopt.paired.messages import CountCall, Counted, EndedTest, FinishTest, Ready, RunTest, TimeCalls, Timed
from pytest_diffopt.paired.process import Worker, WorkerStart
from pytest_diffopt.paired.sampling import PairedSamples, repeats_for, sample_in_turn
from pytest_diffopt.probes.card import open_meter
from pytest_diffopt.progress import Tell
from pytest_diffopt.records import PairedBlock, PairedRecord

IsDecided = Callable[[Sequence[PairedBlock]], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """Both workers, and the tests that each knows."""

    base: Worker
    head: Worker
    base_tests: frozenset[str]
    head_tests: frozenset[str]

    @property
    def both(self) -> tuple[Worker, Worker]:
        """Base and head."""
        return self.base, self.head

    def lacking(self, nodeid: str) -> str:
        """Return which side has no such test; empty where both have it."""
        if nodeid not in self.base_tests:
            return self.base.name
        return "" if nodeid in self.head_tests else self.head.name


@dataclass(frozen=True, kw_only=True, slots=True)
class BothReady:
    """What both workers said when their call was warm."""

    base: Ready
    head: Ready

    @property
    def repeats(self) -> int:
        """How many calls make one time."""
        return repeats_for(self.base.warmup_ns, self.head.warmup_ns)

    @property
    def is_single_threaded(self) -> bool:
        """Whether both compute with one thread of the processor: more would only wait for each other on one core."""
        return self.base.num_threads == self.head.num_threads == 1


def start_workers(base: Side, head: Side, start: WorkerStart) -> Workers:
    """Start both at once, and wait for each."""
    with ExitStack() as on_failure:
        workers = []
        for name, side, other in (("base", base, head), ("head", head, base)):
            workers.append(Worker(name, side, other, start))
            on_failure.callback(workers[-1].close)
        tests = [worker.collected() for worker in workers]
        on_failure.pop_all()
    return Workers(base=workers[0], head=workers[1], base_tests=tests[0], head_tests=tests[1])


@contextmanager
def at_their_call(workers: Workers, nodeid: str, tell: Tell) -> "Iterator[BothReady | str]":
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
    ready = BothReady(base=answers[0], head=answers[1])
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


def _refuse_mixed_code(workers: Workers, ready: BothReady) -> None:
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


def time_in_turn(  # noqa: PLR0913 - two workers and a budget
    workers: Workers,
    ready: BothReady,
    *,
    is_decided: IsDecided,
    repeats: int,
    max_seconds: float,
    seed: int,
    tell: Tell,
) -> PairedSamples:
    """Time what both are ready for, in turn; on a card its readings are taken meanwhile.

    Args:
        workers: both.
        ready: what they said.
        is_decided: tells from this pair's blocks so far that more would change nothing.
        repeats: how many calls make one time.
        max_seconds: no block begins later than this.
        seed: of the die that decides who is first, and of the core.
        tell: shows a line while this takes long.
    """
    if ready.is_single_threaded:
        share_core((worker.pid for worker in workers.both), number=seed)
    base, head = _timing(workers.base), _timing(workers.head)
    for time_calls in (base, head):  # one of them waited while the other warmed up
        time_calls(repeats)
    meter = None
    if ready.head.card_uuid:
        meter = open_meter(ready.head.card_uuid, own_pids=lambda: {worker.pid for worker in workers.both})
    return sample_in_turn(
        base,
        head,
        repeats=repeats,
        max_seconds=max_seconds,
        is_decided=is_decided,
        seed=seed,
        meter=meter,
        tell=tell,
    )


def _timing(worker: Worker) -> Callable[[int], int]:
    def time_calls(repeats: int) -> int:
        answer: Timed = worker.ask(TimeCalls(repeats=repeats), Timed, doing="timing a call")
        return answer.duration_ns

    return time_calls


def with_counts(record: PairedRecord, workers: Workers) -> PairedRecord:
    """Return a record with what a call of each side does on the simulated GPU, or why that is not known."""
    answers: list[Counted] = [
        worker.ask(CountCall(), Counted, doing="counting on the simulated GPU") for worker in workers.both
    ]
    why_not = next((answer.why_not for answer in answers if answer.why_not), "")
    return replace(record, base_counts=answers[0].record, head_counts=answers[1].record, why_not_counted=why_not)
