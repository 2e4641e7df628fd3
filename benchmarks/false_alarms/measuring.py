"""Real pairs of processes that time a tiny pipeline in turn, one of them with a wait planted in `scheduler.step`."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from pytest_diffopt.guards.paired import log_ratio
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.messages import Ready, RunTest, TimeCalls, Timed
from pytest_diffopt.paired.process import Worker, WorkerStart
from pytest_diffopt.paired.sampling import PairedSamples, repeats_for, sample_in_turn
from pytest_diffopt.records import PairedBlock

NODEID = "test_it.py::test_latency[sdxl-fp32]"
# The wait is a share of the call without it, spread over the steps and measured anew in each process.
_TEST = """
import time
import pytest

pytestmark = pytest.mark.diffopt(pipeline=["sdxl"], recipe=["fp32"])
SLOWDOWN = {slowdown}

def plant(pipeline, inputs):
    for _ in range(5):
        pipeline(**inputs)
    took, steps = [], []
    for _ in range(15):
        steps.clear()
        start = time.perf_counter_ns()
        with_counted_steps(pipeline, steps)(**inputs)
        took.append(time.perf_counter_ns() - start)
    wait_ns = SLOWDOWN * sorted(took)[len(took) // 2] / len(steps)
    step = type(pipeline.scheduler).step

    def slower(*args, **keywords):
        end = time.perf_counter_ns() + wait_ns
        output = step(pipeline.scheduler, *args, **keywords)
        while time.perf_counter_ns() < end:
            pass
        return output

    pipeline.scheduler.step = slower

def with_counted_steps(pipeline, steps):
    step = type(pipeline.scheduler).step

    def counted(*args, **keywords):
        steps.append(1)
        return step(pipeline.scheduler, *args, **keywords)

    pipeline.scheduler.step = counted
    return pipeline

def test_latency(optimized_pipeline, pipeline_inputs, latency_baseline):
    if SLOWDOWN:
        plant(optimized_pipeline, pipeline_inputs)
    latency_baseline.check(optimized_pipeline, **pipeline_inputs)
"""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What one pair of processes timed.

    Attributes:
        slowdown: what was planted, as a fraction.
        repeats: calls in each time.
        seconds: how long all took.
        blocks: base and head in turn.
    """

    slowdown: float
    repeats: int
    seconds: float
    blocks: tuple[PairedBlock, ...]

    @property
    def logs(self) -> list[float]:
        """The log-ratio of each block."""
        return [log_ratio(block) for block in self.blocks]


def measure(slowdown: float, *, seconds: float, seed: int) -> Pair:
    """Start two processes, plant a slowdown in one, and time them in turn."""
    with _workers(slowdown) as (base, head):
        ready: list[Ready] = [worker.ask(RunTest(nodeid=NODEID), Ready, doing="warming up") for worker in (base, head)]
        samples = _sampled(base, head, repeats_for(*(one.warmup_ns for one in ready)), seconds, seed)
    return Pair(slowdown=slowdown, repeats=samples.repeats, seconds=samples.spent_seconds, blocks=tuple(samples.blocks))


def _sampled(base: Worker, head: Worker, repeats: int, seconds: float, seed: int) -> PairedSamples:
    def time_base(count: int) -> int:
        answer: Timed = base.ask(TimeCalls(repeats=count), Timed, doing="timing")
        return answer.duration_ns

    def time_head(count: int) -> int:
        answer: Timed = head.ask(TimeCalls(repeats=count), Timed, doing="timing")
        return answer.duration_ns

    for time_calls in (time_base, time_head):
        time_calls(repeats)
    return sample_in_turn(
        time_base, time_head, repeats=repeats, max_seconds=seconds, is_decided=lambda _blocks: False, seed=seed
    )


@contextmanager
def _workers(slowdown: float) -> Iterator[tuple[Worker, Worker]]:
    with ExitStack() as stack:
        sides = []
        for name, planted in (("base", 0.0), ("head", slowdown)):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"diffopt-{name}-"))).resolve()
            (folder / "test_it.py").write_text(_TEST.format(slowdown=planted), encoding="utf-8")
            sides.append(Side(label=name, tree=folder, folder=folder, import_paths=(folder,)))
        start = WorkerStart(
            files=("test_it.py",), options=("-s", "-p", "no:cacheprovider", "-n0"), timeout_seconds=600.0
        )
        base, head = sides
        workers = []
        for name, side, other in (("base", base, head), ("head", head, base)):
            workers.append(Worker(name, side, other, start))
            stack.callback(workers[-1].close)
        for worker in workers:
            worker.collected()
        yield workers[0], workers[1]
