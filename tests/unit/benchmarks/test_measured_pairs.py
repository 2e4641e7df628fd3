"""Test the pairs of processes that time a small project: its files and how it starts; nothing is timed."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from benchmarks.false_alarms import measuring
from benchmarks.false_alarms.measuring import Pair, measure
from benchmarks.false_alarms.projects import TINY_ON_CPU, TimedCall
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.process import WorkerStart
from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device, PairedTiming
from tests.unit.benchmarks.pair_examples import BLOCK, measured_pair

ON_GPU = TimedCall(device=Device.CUDA, scale=Scale.FULL, recipe="bf16 + sdpa", steps=2)


class Processes:
    """A fake for the paired gate: each pair has one block and one throttled block."""

    def __init__(self) -> None:
        self.products: list[str] = []
        self.options: tuple[str, ...] = ()
        self.at_once: bool | None = None
        self.head_first: bool | None = None
        self.plans: list[SamplingPlan] = []
        self.closed = 0

    def start(self, base: Side, head: Side, start: WorkerStart, *, head_first: bool) -> Any:
        """Record how the processes would be started."""
        assert start.files == ("test_it.py",)
        self.options, self.head_first = start.options, head_first
        self.products = [(side.folder / "product.py").read_text().splitlines()[4] for side in (base, head)]
        return SimpleNamespace(base_tests=frozenset({"test_it.py::test_latency[a]"}), both=(self, self))

    def close(self) -> None:
        """End a process."""
        self.closed += 1

    @contextmanager
    def at_call(self, _workers: Any, nodeid: str, _progress: Any, *, at_once: bool) -> Iterator[Any]:
        """Yield a fake pair of processes at their call."""
        assert nodeid == "test_it.py::test_latency[a]"
        self.at_once = at_once
        yield SimpleNamespace(timing=PairedTiming.INTERLEAVED, repeats=3)

    def time_pair(self, _workers: Any, _ready: Any, plan: SamplingPlan, **_: Any) -> PairedSamples:
        """Record the plan, and return one block."""
        self.plans.append(plan)
        if not plan.max_seconds:
            return PairedSamples(plan=plan)
        return PairedSamples(plan=plan, blocks=[BLOCK], throttled=[BLOCK], spent_seconds=plan.max_seconds)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Replace the paired gate's processes."""
    one = Processes()
    monkeypatch.setattr(measuring, "start_workers", one.start)
    monkeypatch.setattr(measuring, "paused_at_call", one.at_call)
    monkeypatch.setattr(measuring, "time_pair", one.time_pair)
    return one


def pair(*, throttled: int = 0) -> Pair:
    """Return the times of one pair of processes."""
    return measured_pair(0.02, timing=PairedTiming.INTERLEAVED, repeats=3, seconds=20.0, throttled_blocks=throttled)


def test_pair_on_gpu(processes: Processes) -> None:
    """Both processes get `--gpu`, build sequentially, only head is slower, and discarded blocks are counted."""
    measured = measure(0.02, seconds=20.0, seconds_in_turn=0.0, number=5, call=ON_GPU)

    assert processes.options == ("-s", "-p", "no:cacheprovider", "-n0", "--gpu")
    assert processes.at_once is False
    assert processes.products == ["SLOWDOWN = 0.0", "SLOWDOWN = 0.02"]
    assert processes.plans[0] == SamplingPlan(timing=PairedTiming.INTERLEAVED, repeats=3, max_seconds=20.0, seed=5)
    assert processes.head_first is True
    assert processes.closed == 2
    assert measured == pair(throttled=1)


def test_pair_on_cpu(processes: Processes) -> None:
    """Both processes build concurrently, and are afterwards timed interleaved for the other rules."""
    measured = measure(0.0, seconds=10.0, seconds_in_turn=3.0, number=0)

    assert processes.options == ("-s", "-p", "no:cacheprovider", "-n0")
    assert processes.at_once is True
    assert processes.head_first is False
    assert [plan.max_seconds for plan in processes.plans] == [10.0, 3.0]
    assert measured.blocks_in_turn == (BLOCK,)
    assert measured.seconds_in_turn == 3.0


def test_throttled_count_is_written_only_if_nonzero() -> None:
    """Lines without throttling have no count, so older files can still be read."""
    encoded = msgspec.json.encode(pair())

    assert b"throttled_blocks" not in encoded
    assert msgspec.json.decode(encoded, type=Pair) == pair()
    assert b'"throttled_blocks":2' in msgspec.json.encode(pair(throttled=2))


def test_timed_project_on_gpu() -> None:
    """The project's test has the gpu marker, the scale, the recipe and the number of steps."""
    project = ON_GPU.project(0.05)

    assert ON_GPU.options == ("--gpu",)
    assert project["product.py"].splitlines()[4] == "SLOWDOWN = 0.05"
    assert project["test_it.py"].splitlines()[5:] == [
        "pytestmark = [",
        '    pytest.mark.diffopt(pipeline=["sdxl"], recipe=["bf16 + sdpa"], scale="full"),',
        "    pytest.mark.gpu,",
        "]",
        "",
        "",
        "def test_latency(optimized_pipeline, pipeline_inputs, latency_baseline):",
        '    inputs = pipeline_inputs.varied("", num_inference_steps=2)',
        "    product.prepare(optimized_pipeline, inputs)",
        "    latency_baseline.check(optimized_pipeline, **inputs)",
    ]


def test_timed_project_on_cpu() -> None:
    """The test has no gpu marker and calls the pipeline with its default inputs; every file is valid Python."""
    project = TINY_ON_CPU.project(0.0)

    assert TINY_ON_CPU.options == ()
    assert "pytest.mark.gpu" not in project["test_it.py"]
    assert "    inputs = pipeline_inputs\n" in project["test_it.py"]
    for name, text in project.items():
        compile(text, name, "exec")
