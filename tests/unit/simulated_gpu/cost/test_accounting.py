"""Counts: work, bytes over the bus and memory, in total, by phase and by module."""

import inspect
import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import nn
from torch.nn import functional

from pytest_diffopt.simulated_gpu import Counts, SimulatedGPU


def line_above() -> int:
    """Return the number of the line above the caller's."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno - 1


def test_flops_follow_torchs_formulas() -> None:
    """Matrix products, convolutions and attention are counted as by torch's FLOP counter."""
    with SimulatedGPU() as gpu, torch.no_grad():
        x = torch.ones(32, 64, device=gpu.device)
        gpu.enter_phase("mm")
        x @ x.t()
        gpu.enter_phase("linear")
        functional.linear(x, torch.ones(16, 64, device=gpu.device), torch.ones(16, device=gpu.device))
        gpu.enter_phase("conv")
        functional.conv2d(
            torch.ones(1, 3, 8, 8, device=gpu.device), torch.ones(5, 3, 3, 3, device=gpu.device), padding=1
        )
        gpu.enter_phase("attention")
        q = torch.ones(2, 4, 16, 8, device=gpu.device, dtype=torch.float16)
        functional.scaled_dot_product_attention(q, q, q)
        gpu.enter_phase("elementwise")
        x + x

    flops = {phase: counts.flops for phase, counts in gpu.phases.items()}
    assert flops == {
        None: 0,
        "mm": 2 * 32 * 64 * 32,
        "linear": 2 * 32 * 64 * 16,
        "conv": 2 * 5 * 3 * 9 * 64,
        "attention": 2 * 2 * (2 * 4) * 16 * 16 * 8,
        "elementwise": 0,
    }
    assert gpu.flops == sum(flops.values())


def test_operations_are_launches() -> None:
    """Views, metadata, allocations and copies over the bus launch nothing."""
    with SimulatedGPU() as gpu:
        x = torch.empty(4, 4, device=gpu.device)
        x.t()[1:].reshape(3, 4)[None].detach().expand(2, 3, 4)
        x.to(gpu.device).contiguous()
        x.cpu()
        assert gpu.operations == 0

        x.add_(1)
        x.t().contiguous()
        x.half()
        assert gpu.operations == 3


def test_bytes_over_the_bus() -> None:
    """Blocking copies convert the dtype on the host, non-blocking copies on the device."""
    with SimulatedGPU() as gpu:
        host = torch.ones(100)
        gpu.enter_phase("up")
        x = host.to(gpu.device, torch.float16)
        gpu.enter_phase("up later")
        host.to(gpu.device, torch.float16, non_blocking=True)
        gpu.enter_phase("down")
        x.to("cpu", torch.float64)
        gpu.enter_phase("read")
        x.tolist()

    moved = {phase: (counts.bytes_to_device, counts.bytes_to_host) for phase, counts in gpu.phases.items()}
    assert moved == {"up": (200, 0), "up later": (400, 0), "down": (0, 200), "read": (0, 200)}


def test_memory_is_rounded_and_freed() -> None:
    """Storages are rounded up to 512 bytes, shared by views, and freed with the last tensor."""
    with SimulatedGPU() as gpu:
        x = torch.empty(1, device=gpu.device)
        assert (gpu.live_memory_bytes, gpu.allocated_bytes) == (512, 512)
        y = torch.empty(129, device=gpu.device)
        assert gpu.live_memory_bytes == 512 + 1024
        view = y[1:]
        del y
        assert gpu.live_memory_bytes == 512 + 1024
        del view, x
        assert gpu.live_memory_bytes == 0
        assert gpu.peak_memory_bytes == 512 + 1024
        assert torch.empty(0, device=gpu.device).shape == (0,)
        assert gpu.allocated_bytes == 512 + 1024


def test_peaks_belong_to_phases() -> None:
    """Each phase has its own peak; the total's is the maximum."""
    with SimulatedGPU() as gpu:
        base = torch.empty(1024, device=gpu.device)
        gpu.enter_phase("large")
        torch.empty(10240, device=gpu.device)
        gpu.enter_phase("small")
        base + 1

    peaks = {phase: counts.peak_memory_bytes for phase, counts in gpu.phases.items()}
    assert peaks == {None: 4096, "large": 4096 + 40960, "small": 8192}
    assert gpu.peak_memory_bytes == 4096 + 40960


def test_holders_at_the_peak_are_lines() -> None:
    """The lines that held memory at the peak add up to it, the largest first, without later lines."""
    with SimulatedGPU() as gpu:
        large = torch.empty(1000, 1000, device=gpu.device)
        line = line_above()
        small = large[:10] + 1
        del large
        torch.empty(10, device=gpu.device)

    assert [(where.line - line, nbytes) for where, nbytes in gpu.peak_holders] == [(0, 4_000_256), (2, 40_448)]
    assert gpu.peak_holders[0][0].source == "large = torch.empty(1000, 1000, device=gpu.device)"
    assert sum(nbytes for _, nbytes in gpu.peak_holders) == gpu.peak_memory_bytes
    assert small.shape == (10, 1000)


class Block(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8, bias=False)
        self.second = nn.Linear(8, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run both and double the result."""
        out: torch.Tensor = self.second(self.first(x))
        out.sum().item()
        return out * 2


def test_modules_are_named_by_path() -> None:
    """Counts and syncs belong to the innermost module, by its path; the paths add up to the total."""
    block = Block()
    with SimulatedGPU() as gpu, torch.no_grad():
        gpu.name_modules({"unet": block})
        block.to(gpu.device)
        block(torch.ones(4, 8, device=gpu.device))

    operations = {path: counts.operations for path, counts in gpu.modules.items()}
    assert operations == {"": 1, "unet.first": 1, "unet.second": 1, "unet": 2}
    assert sum(gpu.modules.values(), Counts()).flops == gpu.flops == 2 * 2 * 4 * 8 * 8
    assert [sync.module for sync in gpu.syncs if sync.shown_as == ".item()"] == ["unet"]


def test_modules_without_names_are_counted_by_class() -> None:
    """Without `name_modules`, the counts are kept by class."""
    block = Block()
    with SimulatedGPU() as gpu, torch.no_grad():
        block.to(gpu.device)
        block(torch.ones(4, 8, device=gpu.device))

    assert {name: counts.operations for name, counts in gpu.modules.items()} == {"": 1, "Linear": 2, "Block": 2}


def test_modules_compiled_in_place_are_counted() -> None:
    """A module that was compiled in place is counted by its name, and its compiled call is restored."""
    block = Block()
    block.compile()
    compiled = block._compiled_call_impl
    with SimulatedGPU() as gpu, torch.no_grad():
        block.to(gpu.device)
        block(torch.ones(4, 8, device=gpu.device))

    assert {name: counts.operations for name, counts in gpu.modules.items()} == {"": 1, "Linear": 2, "Block": 2}
    assert block._compiled_call_impl is compiled


def test_compiling_again_in_the_block_is_kept() -> None:
    """The compiled call of a module that was compiled inside the block is not replaced on leaving."""
    block = Block()
    block.compile()
    with SimulatedGPU() as gpu:
        block.to(gpu.device)
        block.compile()
        compiled = block._compiled_call_impl

    assert block._compiled_call_impl is compiled


def test_an_exception_leaves_the_module() -> None:
    """After an exception in a module, work belongs to its caller."""

    class Failing(nn.Module):
        def forward(self) -> None:
            raise ZeroDivisionError

    with SimulatedGPU() as gpu:
        with pytest.raises(ZeroDivisionError):
            Failing()()
        torch.ones(3, device=gpu.device)

    assert gpu.modules[""].operations == 1


@pytest.mark.parametrize("real_up_to", [0, 100, math.inf])
def test_results_have_cudas_layout(real_up_to: float) -> None:
    """Strides and dtypes of results are CUDA's, not those of the CPU kernels, whether or not values are kept."""
    with SimulatedGPU(real_up_to=real_up_to) as gpu, torch.no_grad():
        x = torch.ones(1, 4, 3, 3, device=gpu.device).to(memory_format=torch.channels_last)
        weight = torch.ones(6, 4, 3, 3, device=gpu.device)
        out = functional.conv2d(x, weight, padding=1)
        assert out.is_contiguous(memory_format=torch.channels_last)

        half = torch.ones(2, 4, 8, device=gpu.device, dtype=torch.float16)
        _, mean, _ = torch.native_layer_norm(half, [8], None, None, 1e-5)
        assert mean.dtype == torch.float32


def test_two_runs_count_the_same() -> None:
    """Counts are exact: two runs of the same work are equal to the byte."""
    runs = []
    for _ in range(2):
        block = Block()
        with SimulatedGPU() as gpu, torch.no_grad():
            block.to(gpu.device)
            block(torch.ones(4, 8, device=gpu.device))
        runs.append((gpu.counts, gpu.phases, gpu.modules, gpu.peak_holders, gpu.syncs))

    assert runs[0] == runs[1]


COMPOSED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int]] = {
    "group_norm": (lambda x: functional.group_norm(x, 2), 1),
    "group_norm of channels_last": (lambda x: functional.group_norm(x.to(memory_format=torch.channels_last), 2), 3),
    "softmax to float32": (lambda x: functional.softmax(x, -1, dtype=torch.float32), 1),
    "log_softmax to float32": (lambda x: functional.log_softmax(x, -1, dtype=torch.float32), 1),
    "rms_norm": (lambda x: functional.rms_norm(x, (4,), x[0, 0, 0]), 1),
}


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_composites_take_cudas_path(name: str, mode: Callable[[], AbstractContextManager[None]]) -> None:
    """Composite operations launch what they launch on CUDA; the values are the CPU's."""
    call, launches = COMPOSED[name]
    host = torch.arange(256.0).reshape(2, 8, 4, 4).div(256).half()
    with SimulatedGPU() as gpu, mode():
        x = host.to(gpu.device)
        gpu.enter_phase("call")
        out = call(x)
        gpu.enter_phase(None)
        actual = out.cpu()

    assert gpu.phases["call"].operations == launches
    torch.testing.assert_close(actual, call(host), rtol=1e-2, atol=1e-2)
