"""Time a pipeline in real pairs of processes; head runs the same code as base, or has an injected delay."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from benchmarks.false_alarms.projects import TINY_ON_CPU, TimedCall
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.process import WorkerStart
from pytest_diffopt.paired.process_pair import Workers, paused_at_call, start_workers, time_pair
from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan
from pytest_diffopt.records import Device, PairedBlock, PairedTiming
from pytest_diffopt.session.progress import no_progress


class Pair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The times of one pair of processes.

    Attributes:
        slowdown: injected slowdown of head, as a fraction.
        timing: how the blocks were timed.
        repeats: calls in each sample.
        seconds: duration of all blocks.
        blocks: base and head, as the paired gate times them.
        seconds_in_turn: duration of the interleaved blocks.
        blocks_in_turn: wall-clock times, one process at a time, as other tools measure.
        throttled_blocks: number of blocks that were discarded because the GPU throttled.
    """

    slowdown: float
    timing: PairedTiming
    repeats: int
    seconds: float
    blocks: tuple[PairedBlock, ...]
    seconds_in_turn: float
    blocks_in_turn: tuple[PairedBlock, ...]
    throttled_blocks: int = 0


def measure(
    slowdown: float, *, seconds: float, seconds_in_turn: float, number: int, call: TimedCall = TINY_ON_CPU
) -> Pair:
    """Start two processes, inject a slowdown in head, and time both as the paired gate does and interleaved.

    Args:
        slowdown: injected slowdown of head, as a fraction.
        seconds: how long both are timed as the paired gate does.
        seconds_in_turn: how long both are then timed interleaved; 0 on a GPU, where the gate itself interleaves.
        number: number of the pair; the seed of the order of the blocks. Head starts first in every second pair.
        call: the timed call and its device.
    """
    with _workers(slowdown, call, number) as workers:
        (nodeid,) = workers.base_tests
        with paused_at_call(workers, nodeid, no_progress, at_once=call.device is not Device.CUDA) as ready:
            assert not isinstance(ready, str), "unreachable: both sides have the same test"  # noqa: S101
            plan = SamplingPlan(timing=ready.timing, repeats=ready.repeats, max_seconds=seconds, seed=number)
            samples = time_pair(workers, ready, plan, progress=no_progress)
            in_turn = replace(plan, timing=PairedTiming.INTERLEAVED, max_seconds=seconds_in_turn)
            others = PairedSamples(plan=in_turn)
            if seconds_in_turn:
                others = time_pair(workers, ready, in_turn, progress=no_progress)
    return Pair(
        slowdown=slowdown,
        timing=samples.plan.timing,
        repeats=samples.plan.repeats,
        seconds=samples.spent_seconds,
        blocks=tuple(samples.blocks),
        seconds_in_turn=others.spent_seconds,
        blocks_in_turn=tuple(others.blocks),
        throttled_blocks=len(samples.throttled),
    )


@contextmanager
def _workers(slowdown: float, call: TimedCall, number: int) -> Iterator[Workers]:
    with ExitStack() as stack:
        sides = []
        for name, injected in (("base", 0.0), ("head", slowdown)):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"diffopt-{name}-"))).resolve()
            for file, text in call.project(injected).items():
                (folder / file).write_text(text, encoding="utf-8")
            sides.append(Side(label=name, tree=folder, folder=folder, import_paths=(folder,)))
        start = WorkerStart(
            files=("test_it.py",),
            options=("-s", "-p", "no:cacheprovider", "-n0", *call.options),
            timeout_seconds=600.0,
        )
        workers = start_workers(sides[0], sides[1], start, head_first=bool(number % 2))
        for worker in workers.both:
            stack.callback(worker.close)
        yield workers
