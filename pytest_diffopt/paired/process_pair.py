"""A pair of worker processes, base and head: both run the same test up to its call, which is timed and counted."""

from collections.abc import Iterator, Sequence
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
from pytest_diffopt.paired.time_blocks import TimeBlock, TimeSide, concurrent, interleaved
from pytest_diffopt.probes.gpu_state import open_meter
from pytest_diffopt.records import PairedRecord, PairedTiming
from pytest_diffopt.session.progress import ProgressCallback

#: The largest difference between the CPU time and the wall-clock time of a call that is timed by its CPU time.
_MAX_CPU_SHARE_ERROR = 0.0025
_TIMING = "timing a call"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """Both workers and the tests that each has collected.

    Attributes:
        base: the worker of base.
        head: the worker of head.
        base_tests: the tests that base has collected.
        head_tests: the tests that head has collected.
        head_first: whether head is started, built and warmed up before base.
    """

    base: Worker
    head: Worker
    base_tests: frozenset[str]
    head_tests: frozenset[str]
    head_first: bool = False

    @property
    def both(self) -> tuple[Worker, Worker]:
        """Base and head."""
        return self.base, self.head

    @property
    def in_order(self) -> tuple[Worker, Worker]:
        """Both workers in the order in which they start."""
        return (self.head, self.base) if self.head_first else (self.base, self.head)

    def lacking(self, nodeid: str) -> str:
        """Return which side has no such test; empty if both have it."""
        if nodeid not in self.base_tests:
            return self.base.name
        return "" if nodeid in self.head_tests else self.head.name


@dataclass(frozen=True, kw_only=True, slots=True)
class BothReady:
    """The answers of both workers when their call is warm."""

    base: Ready
    head: Ready

    @property
    def repeats(self) -> int:
        """The number of calls per time."""
        return repeats_for(self.base.warmup_ns, self.head.warmup_ns)

    @property
    def is_single_threaded(self) -> bool:
        """Whether both use one CPU thread: several threads would block each other on one core."""
        return self.base.num_threads == self.head.num_threads == 1

    @property
    def timing(self) -> PairedTiming:
        """Concurrent CPU time for calls that only compute in one thread, otherwise interleaved wall-clock time."""
        only_compute = self.is_single_threaded and not self.why_interleaved
        return PairedTiming.CONCURRENT if only_compute else PairedTiming.INTERLEAVED

    @property
    def why_interleaved(self) -> str:
        """Why the calls cannot be timed concurrently on a CPU; empty if they can, and on a GPU.

        The CPU time of a thread does not include its sleep, its I/O and the work of other threads.
        """
        for answer in (self.base, self.head):
            if answer.num_threads > 1:
                return f"torch uses {answer.num_threads} threads; set OMP_NUM_THREADS=1 to time both on one core"
            if answer.num_threads and abs(1 - answer.cpu_share) > _MAX_CPU_SHARE_ERROR:
                share = percent(answer.cpu_share)
                return f"the CPU time of a call is {share} of its wall-clock time: it blocks, or uses other threads"
        return ""


def start_workers(base: Side, head: Side, start: WorkerStart, *, head_first: bool = False) -> Workers:
    """Start both workers at once, and wait until both have collected their tests.

    Args:
        base: the code of base.
        head: the code of head.
        start: the arguments of both.
        head_first: whether head is the first to start. Which memory a process gets can depend on the order, so the
            order must not depend on the side.
    """
    names = ("head", "base") if head_first else ("base", "head")
    sides = {"base": (base, head), "head": (head, base)}
    with ExitStack() as on_failure:
        workers = {}
        for name in names:
            workers[name] = Worker(name, *sides[name], start)
            on_failure.callback(workers[name].close)
        tests = {name: worker.collected() for name, worker in workers.items()}
        on_failure.pop_all()
    return Workers(
        base=workers["base"],
        head=workers["head"],
        base_tests=tests["base"],
        head_tests=tests["head"],
        head_first=head_first,
    )


@contextmanager
def paused_at_call(
    workers: Workers, nodeid: str, progress: ProgressCallback, *, at_once: bool
) -> "Iterator[BothReady | str]":
    """Let both workers run a test up to its call, and finish the test after the block.

    Args:
        workers: both workers.
        nodeid: the test.
        progress: shows a progress line.
        at_once: whether both build and warm up at the same time. On a GPU they do so one after the other: autotuning
            would otherwise be disturbed by the other process.

    Yields:
        The answers of both; or the side that has no such test.
    """
    lacking = workers.lacking(nodeid)
    if lacking:
        yield lacking
        return
    groups = (workers.in_order,) if at_once else tuple((worker,) for worker in workers.in_order)
    answers = {worker.name: answer for group in groups for worker, answer in _at_calls(group, nodeid, progress)}
    ready = BothReady(base=answers["base"], head=answers["head"])
    _refuse_mixed_code(workers, ready)
    yield ready
    for worker in workers.both:
        ended = worker.ask(FinishTest(), Ready | EndedTest, doing=f"ending {nodeid}")
        if isinstance(ended, Ready):
            msg = f"{nodeid} calls latency_baseline.check twice (1 call per test allowed)"
            raise ProbeError(msg)


def _at_calls(workers: Sequence[Worker], nodeid: str, progress: ProgressCallback) -> list[tuple[Worker, Ready]]:
    """Let workers run a test up to its call, and return each with its answer."""
    progress(f"building and warming up {' and '.join(worker.name for worker in workers)}")
    for worker in workers:
        worker.send(RunTest(nodeid=nodeid), doing=f"running {nodeid} up to its timed call")
    return [(worker, _at_call(worker)) for worker in workers]


def _at_call(worker: Worker) -> Ready:
    answer: Ready | EndedTest = worker.receive(Ready | EndedTest)
    if isinstance(answer, Ready):
        return answer
    version = f"at {worker.side.label}"
    if answer.outcome == "skipped":
        pytest.skip(f"skipped {version}: {answer.text}")
    passed = answer.outcome == "passed"
    why = "did not call latency_baseline.check(...)" if passed else "failed before its timed call"
    msg = f"the test {why} {version}\n{answer.text}".rstrip()
    raise ProbeError(msg)


def _refuse_mixed_code(workers: Workers, ready: BothReady) -> None:
    """Refuse two sides that run the same code: their comparison would always pass."""
    for worker, answer, other in ((workers.base, ready.base, workers.head), (workers.head, ready.head, workers.base)):
        if answer.foreign_modules:
            names = ", ".join(answer.foreign_modules[:3])
            msg = (
                f"the {worker.name} worker, {worker.side.label}, imports {names} from {other.side.tree} "
                f"instead of {worker.side.tree}: both sides would run the same code"
            )
            raise ProbeError(msg)
        if not answer.own_modules:
            msg = (
                f"the {worker.name} worker, {worker.side.label}, imports nothing from {worker.side.tree}: "
                "there is nothing to compare; pass the folder of a package that the test uses with --diffopt-editable"
            )
            raise ProbeError(msg)


def time_pair(workers: Workers, ready: BothReady, plan: SamplingPlan, *, progress: ProgressCallback) -> PairedSamples:
    """Time the warm calls of both workers; on a GPU its state is read meanwhile.

    Args:
        workers: both workers.
        ready: their answers.
        plan: how to time. Concurrent timing requires both processes on one core; if the system cannot pin them, they
            are interleaved.
        progress: shows a progress line.
    """
    pids = {worker.pid for worker in workers.both}
    is_bound = ready.is_single_threaded and share_core(pids, number=plan.seed) is not None
    plan = plan if is_bound else replace(plan, timing=PairedTiming.INTERLEAVED)
    time_block = _block_timer(workers, plan)
    time_block(base_first=True)  # refills the caches of the side that was idle while the other warmed up
    meter = open_meter(ready.head.gpu_uuid, own_pids=lambda: pids) if ready.head.gpu_uuid else None
    return sample_blocks(time_block, plan, meter=meter, progress=progress)


def _block_timer(workers: Workers, plan: SamplingPlan) -> TimeBlock:
    if plan.timing is PairedTiming.CONCURRENT:
        return concurrent(*(partial(_begin, worker, plan.repeats) for worker in workers.both))
    return interleaved(*(partial(_duration_ns, worker, plan.repeats) for worker in workers.both))


def _begin(worker: Worker, repeats: int) -> TimeSide:
    """Let a worker begin, and return a function that waits for its CPU time."""
    worker.send(TimeCalls(repeats=repeats), doing=_TIMING)

    def cpu_ns() -> int:
        timed: Timed = worker.receive(Timed)
        return timed.cpu_ns

    return cpu_ns


def _duration_ns(worker: Worker, repeats: int) -> int:
    timed: Timed = worker.ask(TimeCalls(repeats=repeats), Timed, doing=_TIMING)
    return timed.duration_ns


def with_counts(record: PairedRecord, workers: Workers) -> PairedRecord:
    """Return the record with the counts of a call of each side on the simulated GPU, or why there are none."""
    answers: list[Counted] = [
        worker.ask(CountCall(), Counted, doing="counting on the simulated GPU") for worker in workers.both
    ]
    why_not = next((answer.why_not for answer in answers if answer.why_not), "")
    return replace(record, base_counts=answers[0].record, head_counts=answers[1].record, why_not_counted=why_not)
