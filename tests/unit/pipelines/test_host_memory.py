"""Host memory for the weights of a pipeline that was built without them."""

import sys

import pytest
from torch import nn

from pytest_diffopt.null_gpu.values.resident_memory import resident_bytes
from pytest_diffopt.pipelines.host_memory import give_host_memory
from pytest_diffopt.simulated_gpu import SimulatedGPU

WIDTH = 8192  # 256 MiB


class Pipeline:
    """A pipeline of two components that share a weight."""

    def __init__(self, width: int, device: str) -> None:
        """Build it on a device."""
        self.one, self.two = nn.Linear(width, width, device=device), nn.Linear(width, width, device=device)
        self.two.weight = self.one.weight
        self.components = {"one": self.one, "two": self.two}


def test_shared_weights_stay_shared() -> None:
    """Small ones are zero."""
    pipeline = Pipeline(4, "meta")
    give_host_memory(pipeline)

    assert pipeline.one.weight.data_ptr() == pipeline.two.weight.data_ptr()
    assert pipeline.one.weight.device.type == "cpu"
    assert not pipeline.two.bias.any()


def test_weights_with_values_are_kept() -> None:
    """They are the same tensors."""
    pipeline = Pipeline(4, "cpu")
    before = [*pipeline.one.parameters(), *pipeline.two.parameters()]
    give_host_memory(pipeline)

    after = [*pipeline.one.parameters(), *pipeline.two.parameters()]
    assert all(old is new for old, new in zip(before, after, strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_model_that_is_offloaded_takes_no_memory() -> None:
    """Neither when it is made, nor when it moves to the simulated GPU and back."""
    before = resident_bytes()
    pipeline = Pipeline(WIDTH, "meta")
    give_host_memory(pipeline)
    with SimulatedGPU(real_up_to=4096) as gpu:
        for _ in range(2):
            pipeline.one.to(gpu.device)
            pipeline.one.to("cpu")
            moved = pipeline.two.weight.data.to(gpu.device)
            back = moved.to("cpu")

    assert back.shape == (WIDTH, WIDTH)
    assert resident_bytes() - before < 64 * 2**20
