"""The delay that benchmarks inject on a GPU is launched by torch's own CUDA code; here it is rehearsed."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.false_alarms.injected_delay import inject
from pytest_diffopt.null_gpu.activity import DEVICE_VARIABLE
from pytest_diffopt.null_gpu.counters import counting, kernel_counts

STEPS = 3


class Scheduler:
    """A scheduler on the GPU."""

    def step(self, sample: torch.Tensor) -> torch.Tensor:
        """Return the next sample."""
        return sample + 1


def test_each_step_keeps_the_stream_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """One kernel a step, whose length was measured by events."""
    monkeypatch.delenv(DEVICE_VARIABLE)  # as on a GPU
    scheduler: Any = Scheduler()

    class Pipeline(SimpleNamespace):
        def __call__(self, *, num_steps: int) -> None:
            sample = torch.zeros(4, device="cuda")
            for _ in range(num_steps):
                sample = scheduler.step(sample)

    pipeline = Pipeline(scheduler=scheduler, device=torch.device("cuda"))
    inject(pipeline, {"num_steps": STEPS}, share=0.05)

    with counting() as phase:
        pipeline(num_steps=STEPS)
    spins = [count for name, count in kernel_counts(phase.counts).items() if "spin_kernel" in name]
    assert spins == [STEPS]
