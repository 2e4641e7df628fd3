"""Pairs of processes that time a small project: what is in it, and how they are started; nothing is timed here."""

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
from pytest_diffopt.records import Device, PairedBlock, PairedTiming

ON_GPU = TimedCall(device=Device.CUDA, scale=Scale.FULL, recipe="bf16 + sdpa", steps=2)
BLOCK = PairedBlock(base_ns=(100, 101), head_ns=(102, 103))


class Processes:
    """Stands in for the paired gate: it starts nothing, and each pair times one block, and one on a throttled GPU."""

    def __init__(self) -> None:
        self.products: list[str] = []
        self.options: tuple[str, ...] = ()
        self.at_once: bool | None = None
        self.plans: list[SamplingPlan] = []
        self.closed = 0

    def start(self, base: Side, head: Side, start: WorkerStart) -> Any:
        """Look at what would be started."""
        assert start.files == ("test_it.py",)
        self.options = start.options
        self.products = [(side.folder / "product.py").read_text().splitlines()[4] for side in (base, head)]
        return SimpleNamespace(base_tests=frozenset({"test_it.py::test_latency[a]"}), both=(self, self))

    def close(self) -> None:
        """End a process."""
        self.closed += 1

    @contextmanager
    def at_call(self, _workers: Any, nodeid: str, _progress: Any, *, at_once: bool) -> Iterator[Any]:
        """Be ready."""
        assert nodeid == "test_it.py::test_latency[a]"
        self.at_once = at_once
        yield SimpleNamespace(timing=PairedTiming.INTERLEAVED, repeats=3)

    def time_pair(self, _workers: Any, _ready: Any, plan: SamplingPlan, **_: Any) -> PairedSamples:
        """Time."""
        self.plans.append(plan)
        if not plan.max_seconds:
            return PairedSamples(plan=plan)
        return PairedSamples(plan=plan, blocks=[BLOCK], throttled=[BLOCK], spent_seconds=plan.max_seconds)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Nothing is started."""
    one = Processes()
    monkeypatch.setattr(measuring, "start_workers", one.start)
    monkeypatch.setattr(measuring, "at_their_call", one.at_call)
    monkeypatch.setattr(measuring, "time_pair", one.time_pair)
    return one


def pair(*, throttled: int = 0) -> Pair:
    """Return what one pair of processes timed."""
    return Pair(
        slowdown=0.02,
        timing=PairedTiming.INTERLEAVED,
        repeats=3,
        seconds=20.0,
        blocks=(BLOCK,),
        seconds_in_turn=0.0,
        blocks_in_turn=(),
        throttled_blocks=throttled,
    )


def test_a_pair_on_a_gpu(processes: Processes) -> None:
    """Both are told to use it, one builds at a time, head alone is slower, and dropped blocks are counted."""
    measured = measure(0.02, seconds=20.0, seconds_in_turn=0.0, number=5, call=ON_GPU)

    assert processes.options == ("-s", "-p", "no:cacheprovider", "-n0", "--gpu")
    assert processes.at_once is False
    assert processes.products == ["SLOWDOWN = 0.0", "SLOWDOWN = 0.02"]
    assert processes.plans[0] == SamplingPlan(timing=PairedTiming.INTERLEAVED, repeats=3, max_seconds=20.0, seed=5)
    assert processes.closed == 2
    assert measured == pair(throttled=1)


def test_a_pair_on_the_cpu(processes: Processes) -> None:
    """Both build at once, and are timed in turn afterwards for the rules that know nothing else."""
    measured = measure(0.0, seconds=10.0, seconds_in_turn=3.0, number=0)

    assert processes.options == ("-s", "-p", "no:cacheprovider", "-n0")
    assert processes.at_once is True
    assert [plan.max_seconds for plan in processes.plans] == [10.0, 3.0]
    assert measured.blocks_in_turn == (BLOCK,)
    assert measured.seconds_in_turn == 3.0


def test_lines_of_pairs_without_throttling_stay_what_they_were() -> None:
    """The count is written only where there is one, and older files are still read."""
    encoded = msgspec.json.encode(pair())

    assert b"throttled_blocks" not in encoded
    assert msgspec.json.decode(encoded, type=Pair) == pair()
    assert b'"throttled_blocks":2' in msgspec.json.encode(pair(throttled=2))


def test_the_timed_project_on_a_gpu() -> None:
    """Its test is marked for one, and asks for the scale, the recipe and the steps."""
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


def test_the_timed_project_on_a_cpu() -> None:
    """No GPU is asked for, and the call is the pipeline's own; every file is Python."""
    project = TINY_ON_CPU.project(0.0)

    assert TINY_ON_CPU.options == ()
    assert "pytest.mark.gpu" not in project["test_it.py"]
    assert "    inputs = pipeline_inputs\n" in project["test_it.py"]
    for name, text in project.items():
        compile(text, name, "exec")
