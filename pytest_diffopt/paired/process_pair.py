"""A pair of processes, base and head: brought to the same call, timed, counted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.failure_text import percent
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.cores import share_core
from pytest_diffopt.paired.messages import CountCall, Counted, EndedTest, FinishTest, Ready, RunTest, TimeCalls, Timed
from pytest_diffopt.paired.process import Worker, WorkerStart
from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan, repeats_for, sample_blocks
from pytest_diffopt.paired.time_blocks import TimeBlock, TimeSide, in_turn, side_by_side
from pytest_diffopt.probes.gpu_state import open_meter
from pytest_diffopt.records import PairedBlock, PairedRecord, PairedTiming
from pytest_diffopt.session.progress import ProgressCallback

IsDecided = Callable[[Sequence[PairedBlock]], bool]

#: What a call does besides computing, as a fraction of its time, and still is judged by what it computes.
_MOST_WAITING = 0.0025
_TIMING = "timing a call"


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

    @property
    def timing(self) -> PairedTiming:
        """How they are timed best: by their processor time where they need nothing else."""
        only_compute = self.is_single_threaded and not self.why_interleaved
        return PairedTiming.CONCURRENT if only_compute else PairedTiming.INTERLEAVED

    @property
    def why_interleaved(self) -> str:
        """What of their calls keeps them from being timed side by side on a processor; empty on a GPU.

        A call that sleeps, reads from a network or lets others compute takes longer than its own thread tells.
        """
        for answer in (self.base, self.head):
            if answer.num_threads > 1:
                return f"torch computes with {answer.num_threads} threads; OMP_NUM_THREADS=1 lets both share a core"
            if answer.num_threads and abs(1 - answer.cpu_share) > _MOST_WAITING:
                share = percent(answer.cpu_share)
                return f"a call needs the processor for {share} of its time: it waits, or other threads compute for it"
        return ""


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
def at_their_call(
    workers: Workers, nodeid: str, progress: ProgressCallback, *, at_once: bool
) -> "Iterator[BothReady | str]":
    """Bring both workers to the call of a test, and let the test end afterwards.

    Args:
        workers: both.
        nodeid: the test.
        progress: shows a line while this takes long.
        at_once: let both build and warm up at the same time; on a GPU each has it alone, as what is tuned by timing
            would be tuned to the other's noise.

    Yields:
        What both said; or which side has no such test.
    """
    lacking = workers.lacking(nodeid)
    if lacking:
        yield lacking
        return
    groups = (workers.both,) if at_once else ((workers.base,), (workers.head,))
    base, head = [answer for group in groups for answer in _brought_to_call(group, nodeid, progress)]
    ready = BothReady(base=base, head=head)
    _refuse_mixed_code(workers, ready)
    yield ready
    for worker in workers.both:
        ended = worker.ask(FinishTest(), Ready | EndedTest, doing=f"ending {nodeid}")
        if isinstance(ended, Ready):
            msg = f"{nodeid} checks a latency twice: one test has one latency"
            raise ProbeError(msg)


def _brought_to_call(workers: Sequence[Worker], nodeid: str, progress: ProgressCallback) -> list[Ready]:
    progress(f"building and warming up at {' and '.join(worker.name for worker in workers)}")
    for worker in workers:
        worker.send(RunTest(nodeid=nodeid), doing=f"building what {nodeid} times")
    return [_at_call(worker) for worker in workers]


def _at_call(worker: Worker) -> Ready:
    answer: Ready | EndedTest = worker.receive(Ready | EndedTest)
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


def time_pair(
    workers: Workers, ready: BothReady, plan: SamplingPlan, *, is_decided: IsDecided, progress: ProgressCallback
) -> PairedSamples:
    """Time what both workers are ready for; on a GPU its readings are taken meanwhile.

    Args:
        workers: both.
        ready: what they said.
        plan: how; side by side needs one core for both, and is in turn where the system binds no process.
        is_decided: tells from this pair's blocks so far that more would change nothing.
        progress: shows a line while this takes long.
    """
    pids = {worker.pid for worker in workers.both}
    is_bound = ready.is_single_threaded and share_core(pids, number=plan.seed) is not None
    plan = plan if is_bound else replace(plan, timing=PairedTiming.INTERLEAVED)
    time_block = _block_timer(workers, plan)
    time_block(base_first=True)  # what waited while the other warmed up is warm again
    meter = open_meter(ready.head.gpu_uuid, own_pids=lambda: pids) if ready.head.gpu_uuid else None
    return sample_blocks(time_block, plan, is_decided=is_decided, meter=meter, progress=progress)


def _block_timer(workers: Workers, plan: SamplingPlan) -> TimeBlock:
    if plan.timing is PairedTiming.CONCURRENT:
        return side_by_side(*(partial(_begin, worker, plan.repeats) for worker in workers.both))
    return in_turn(*(partial(_duration_ns, worker, plan.repeats) for worker in workers.both))


def _begin(worker: Worker, repeats: int) -> TimeSide:
    """Let a worker begin, and return what waits for its processor time."""
    worker.send(TimeCalls(repeats=repeats), doing=_TIMING)

    def processor_ns() -> int:
        timed: Timed = worker.receive(Timed)
        return timed.processor_ns

    return processor_ns


def _duration_ns(worker: Worker, repeats: int) -> int:
    timed: Timed = worker.ask(TimeCalls(repeats=repeats), Timed, doing=_TIMING)
    return timed.duration_ns


def with_counts(record: PairedRecord, workers: Workers) -> PairedRecord:
    """Return a record with what a call of each side does on the simulated GPU, or why that is not known."""
    answers: list[Counted] = [
        worker.ask(CountCall(), Counted, doing="counting on the simulated GPU") for worker in workers.both
    ]
    why_not = next((answer.why_not for answer in answers if answer.why_not), "")
    return replace(record, base_counts=answers[0].record, head_counts=answers[1].record, why_not_counted=why_not)
