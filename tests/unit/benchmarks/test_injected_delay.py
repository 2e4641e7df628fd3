"""An injected wait is as long as it was asked to be, on a processor and on a GPU; both are pretended here."""

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
    """Time goes on when somebody works or waits."""

    now_ns: float = 0.0

    def processor_ns(self) -> float:
        """Tell this thread's time; reading it takes some, or a wait would never end."""
        self.now_ns += 1
        return self.now_ns

    def wall_ns(self) -> float:
        """Tell the time on the wall."""
        return self.now_ns


class Scheduler:
    """Makes steps that nobody counts."""

    def step(self, sample: int) -> int:
        """Make one."""
        return sample + 1


@dataclass
class Pipeline:
    """Makes some steps; what they return is its image."""

    clock: Clock
    device: Any
    scheduler: Any = field(default_factory=Scheduler)

    def __call__(self, *, num_steps: int) -> int:
        """Draw."""
        sample = 0
        for _ in range(num_steps):
            self.clock.now_ns += STEP_NS
            sample = self.scheduler.step(sample)
        return sample

    def took_ns(self) -> float:
        """Return how long a call takes."""
        start_ns = self.clock.now_ns
        assert self(num_steps=STEPS) == STEPS
        return self.clock.now_ns - start_ns


def fake_gpu(clock: Clock, cycles_per_ns: float) -> SimpleNamespace:
    """Return what of torch a GPU's wait needs; its kernels are done as soon as they are launched."""

    class Event:
        """A moment in the stream."""

        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            """Remember this moment."""
            self.at_ns = clock.now_ns

        def elapsed_time(self, end: "Event") -> float:
            """Return the milliseconds until another moment."""
            return (end.at_ns - self.at_ns) / 1e6

    def sleep(cycles: int) -> None:
        assert isinstance(cycles, int)
        clock.now_ns += cycles / cycles_per_ns

    return SimpleNamespace(cuda=SimpleNamespace(Event=Event, _sleep=sleep, synchronize=lambda: None))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The only clock there is."""
    one = Clock()
    monkeypatch.setattr(
        injected_delay, "time", SimpleNamespace(thread_time_ns=one.processor_ns, perf_counter_ns=one.wall_ns)
    )
    return one


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_a_processor_waits_in_its_own_time(clock: Clock, share: float) -> None:
    """The call takes longer by the share, to what reading the clock takes, and draws the same."""
    pipeline = Pipeline(clock=clock, device=SimpleNamespace(type="cpu"))
    inject(pipeline, {"num_steps": STEPS}, share=share)

    assert pipeline.took_ns() == pytest.approx(STEPS * STEP_NS * (1 + share), rel=1e-4)


@pytest.mark.parametrize("cycles_per_ns", [1.2, 1.98])
def test_a_gpu_waits_in_its_stream(clock: Clock, monkeypatch: pytest.MonkeyPatch, cycles_per_ns: float) -> None:
    """Whatever its clock runs at: how long a cycle takes is measured by the GPU's own events."""
    monkeypatch.setattr(injected_delay, "torch", fake_gpu(clock, cycles_per_ns))
    pipeline = Pipeline(clock=clock, device=SimpleNamespace(type="cuda"))
    inject(pipeline, {"num_steps": STEPS}, share=0.02)

    assert pipeline.took_ns() == pytest.approx(STEPS * STEP_NS * 1.02, rel=1e-5)


def test_torch_still_has_the_private_name() -> None:
    """When torch moves it, injected slowdowns on a GPU need another way to wait."""
    assert callable(getattr(torch.cuda, "_sleep", None)), (
        "torch.cuda._sleep is gone: look for another kernel that waits, benchmarks/false_alarms"
    )
