"""Fast paths return and count the same as torch's dispatcher."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu import Counts, SimulatedGPU
from pytest_diffopt.simulated_gpu.backend import fast_paths

#: A call of each method on a tensor of (2, 4, 6).
CALLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "detach": lambda x: x.detach(),
    "expand": lambda x: x[:, :1].expand(2, 4, 6),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, 2),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "view": lambda x: x.view(2, 4, 2, 3),
    "contiguous": lambda x: x.contiguous(),
    "reshape": lambda x: x.reshape(8, -1),
    "__add__": lambda x: x + x[:1],
    "__radd__": lambda x: 1 + x,
    "__mul__": lambda x: x * 2.5,
    "__rmul__": lambda x: 2 * x,
    "__sub__": lambda x: x - x[0],
    "__truediv__": lambda x: x / 3,
}
LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda x: x,
    "sliced": lambda x: torch.cat([x, x], 1)[:, 2:6],
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "integers": lambda x: (x * 10).long(),
}


def called(
    call: Callable[[torch.Tensor], torch.Tensor], layout: str, real_up_to: float
) -> tuple[Sequence[Any], Counts | None, dict[str, Counts]]:
    """Call a method, and return the layout of its result and its counts."""
    with SimulatedGPU(real_up_to=real_up_to) as gpu, torch.no_grad():
        x = LAYOUTS[layout](torch.linspace(0, 1, 48, device=gpu.device).reshape(2, 4, 6))
        gpu.enter_phase("call")
        out = call(x)
        gpu.enter_phase(None)
        laid_out = (out.shape, out.stride(), out.storage_offset(), out.dtype)
    return laid_out, gpu.phases.get("call"), dict(gpu.modules)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS)
def test_fast_path_has_torchs_layout_and_counts(name: str, layout: str) -> None:
    """Shapes, strides, dtypes and counts equal those of the same call without values, which torch dispatches."""
    assert called(CALLS[name], layout, math.inf) == called(CALLS[name], layout, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS)
def test_fast_path_has_the_cpus_values(name: str, layout: str) -> None:
    """The values equal the CPU's."""
    expected = CALLS[name](LAYOUTS[layout](torch.linspace(0, 1, 48).reshape(2, 4, 6)))
    with SimulatedGPU(real_up_to=math.inf) as gpu, torch.no_grad():
        x = LAYOUTS[layout](torch.linspace(0, 1, 48).to(gpu.device).reshape(2, 4, 6))

        assert torch.equal(CALLS[name](x).cpu(), expected)


def test_every_fast_path_has_a_call() -> None:
    """A new fast path needs a call in `CALLS`."""
    assert set(CALLS) == fast_paths.METHODS


def test_views_share_memory() -> None:
    """Writing through a view changes its base and allocates no memory."""
    with SimulatedGPU() as gpu, torch.no_grad():
        x = torch.zeros(4, 6, device=gpu.device)
        before = gpu.live_memory_bytes
        x.view(24).unsqueeze(0).add_(1)

        assert gpu.live_memory_bytes == before
        assert x.sum().item() == 24


def test_a_mode_sees_every_operation() -> None:
    """An active dispatch mode sees the operations that have fast paths."""
    seen: list[str] = []

    class Seeing(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(func.overloadpacket))
            return func(*args, **(kwargs or {}))

    with SimulatedGPU() as gpu, torch.no_grad():
        x = torch.zeros(4, 6, device=gpu.device)
        with Seeing():  # type: ignore[no-untyped-call]
            x.view(24) + 1

    assert seen == ["aten.view", "aten.add"]


def test_gradients_flow_through() -> None:
    """If gradients are required, torch dispatches every operation."""
    with SimulatedGPU(real_up_to=0) as gpu:
        x = torch.zeros(4, 6, device=gpu.device, requires_grad=True)

        assert (x.view(24) * 2).requires_grad
        assert not x.detach().requires_grad


@pytest.mark.parametrize("call", [lambda x: x.view(3), lambda x: x + 1, lambda x: x.detach()])
def test_fast_paths_raise_after_the_block(call: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Using a tensor after its block raises."""
    with SimulatedGPU() as gpu:
        x = torch.ones(3, device=gpu.device)
    with torch.no_grad(), pytest.raises(SimulationError, match="whose block has ended"):
        call(x)


def test_invalid_operands_raise_torchs_errors() -> None:
    """The message is torch's."""
    with SimulatedGPU() as gpu, torch.no_grad():
        x = torch.ones(3, device=gpu.device)
        with pytest.raises(RuntimeError, match="shape '\\[2\\]' is invalid for input of size 3"):
            x.view(2)
        with pytest.raises(RuntimeError, match="must match the size of tensor b"):
            x + torch.ones(2, device=gpu.device)
        with pytest.raises(RuntimeError, match="found at least two devices"):
            x + torch.ones(3)
