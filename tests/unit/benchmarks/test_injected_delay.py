"""Test that an injected delay has the requested length, on a simulated CPU clock and a fake GPU."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.false_alarms import injected_delay
from benchmarks.false_alarms.injected_delay import inject

STEP_NS = 1_000_000
STEPS = 4


@dataclass
class Clock:
    """A clock that advances only when work or a delay is simulated."""

    now_ns: float = 0.0

    def cpu_ns(self) -> float:
        """Return the thread's CPU time; each read advances it, else a busy loop would never end."""
        self.now_ns += 1
        return self.now_ns

    def wall_ns(self) -> float:
        """Return the wall-clock time."""
        return self.now_ns


class Scheduler:
    """A scheduler whose step increments the sample."""

    def step(self, sample: int) -> int:
        """Return the next sample."""
        return sample + 1


@dataclass
class Pipeline:
    """A pipeline that returns the sample after its steps."""

    clock: Clock
    device: Any
    scheduler: Any = field(default_factory=Scheduler)

    def __call__(self, *, num_steps: int) -> int:
        """Run the denoise steps."""
        sample = 0
        for _ in range(num_steps):
            self.clock.now_ns += STEP_NS
            sample = self.scheduler.step(sample)
        return sample

    def took_ns(self) -> float:
        """Return the time of a call."""
        start_ns = self.clock.now_ns
        assert self(num_steps=STEPS) == STEPS
        return self.clock.now_ns - start_ns


def fake_gpu(clock: Clock, cycles_per_ns: float) -> SimpleNamespace:
    """Return a fake torch module; its kernels finish as soon as they are launched."""

    class Event:
        """A time in the stream."""

        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            """Record the current time."""
            self.at_ns = clock.now_ns

        def elapsed_time(self, end: "Event") -> float:
            """Return the milliseconds until another event."""
            return (end.at_ns - self.at_ns) / 1e6

    def sleep(cycles: int) -> None:
        assert isinstance(cycles, int)
        clock.now_ns += cycles / cycles_per_ns

    return SimpleNamespace(cuda=SimpleNamespace(Event=Event, _sleep=sleep, synchronize=lambda: None))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clocks of the module under test."""
    one = Clock()
    monkeypatch.setattr(injected_delay, "time", SimpleNamespace(thread_time_ns=one.cpu_ns, perf_counter_ns=one.wall_ns))
    return one


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_cpu_delay_is_a_share_of_cpu_time(clock: Clock, share: float) -> None:
    """The call takes longer by the share, apart from the cost of clock reads, and returns the same sample."""
    pipeline = Pipeline(clock=clock, device=SimpleNamespace(type="cpu"))
    inject(pipeline, {"num_steps": STEPS}, share=share)

    assert pipeline.took_ns() == pytest.approx(STEPS * STEP_NS * (1 + share), rel=1e-4)


@pytest.mark.parametrize("cycles_per_ns", [1.2, 1.98])
def test_gpu_delay_is_independent_of_clock_rate(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, cycles_per_ns: float
) -> None:
    """The duration of a cycle is measured with CUDA events, so any clock rate gives the same delay."""
    monkeypatch.setattr(injected_delay, "torch", fake_gpu(clock, cycles_per_ns))
    pipeline = Pipeline(clock=clock, device=SimpleNamespace(type="cuda"))
    inject(pipeline, {"num_steps": STEPS}, share=0.02)

    assert pipeline.took_ns() == pytest.approx(STEPS * STEP_NS * 1.02, rel=1e-5)


def test_null_gpu_delays_the_host(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel there takes no time, so the host is kept busy."""
    monkeypatch.setenv("DIFFOPT_NULL_GPU_DEVICE", "NVIDIA H200")
    pipeline = Pipeline(clock=clock, device=SimpleNamespace(type="cuda"))
    inject(pipeline, {"num_steps": STEPS}, share=0.5)

    assert pipeline.took_ns() == pytest.approx(STEPS * STEP_NS * 1.5, rel=1e-4)


def test_torch_has_private_sleep() -> None:
    """Injected GPU delays depend on `torch.cuda._sleep`."""
    assert callable(getattr(torch.cuda, "_sleep", None)), (
        "torch.cuda._sleep does not exist: benchmarks/false_alarms needs another kernel that keeps the GPU busy"
    )
