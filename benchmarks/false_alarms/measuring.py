"""Real pairs of processes that time a tiny pipeline in turn, one of them with a wait planted in `scheduler.step`."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.pair import Workers, at_their_call, start_workers, time_in_turn
from pytest_diffopt.paired.process import WorkerStart
from pytest_diffopt.progress import silence
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
        output = step(pipeline.scheduler, *args, **keywords)
        end = time.perf_counter_ns() + wait_ns
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


def measure(slowdown: float, *, seconds: float, number: int) -> Pair:
    """Start two processes, plant a slowdown in one, and time them in turn, as the paired gate does.

    Args:
        slowdown: what is planted in head, as a fraction.
        seconds: how long they are timed.
        number: of the pair; it decides the order of the blocks, and the core.
    """
    with _workers(slowdown) as workers, at_their_call(workers, NODEID, silence) as ready:
        assert not isinstance(ready, str), "unreachable because both have the same test"  # noqa: S101
        samples = time_in_turn(
            workers,
            ready,
            is_decided=lambda _blocks: False,
            repeats=ready.repeats,
            max_seconds=seconds,
            seed=number,
            tell=silence,
        )
    return Pair(slowdown=slowdown, repeats=samples.repeats, seconds=samples.spent_seconds, blocks=tuple(samples.blocks))


@contextmanager
def _workers(slowdown: float) -> Iterator[Workers]:
    with ExitStack() as stack:
        sides = []
        for name, planted in (("base", 0.0), ("head", slowdown)):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"diffopt-{name}-"))).resolve()
            (folder / "test_it.py").write_text(_TEST.format(slowdown=planted), encoding="utf-8")
            sides.append(Side(label=name, tree=folder, folder=folder, import_paths=(folder,)))
        start = WorkerStart(
            files=("test_it.py",), options=("-s", "-p", "no:cacheprovider", "-n0"), timeout_seconds=600.0
        )
        workers = start_workers(sides[0], sides[1], start)
        for worker in workers.both:
            stack.callback(worker.close)
        yield workers
