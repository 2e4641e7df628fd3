"""A program that compares torch's visible state before, inside and after simulated GPUs, in a process of its own.

It prints one JSON object. Nothing is claimed in the process before it starts, as for a user.
"""

import gc
import json
import math
import os
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import accelerate
import diffusers.hooks
import torch
import torch._dynamo
import torch._inductor.config
from accelerate.state import AcceleratorState
from torch import nn
from torch._dynamo import convert_frame
from torch.nn import functional
from torch.utils.data import DataLoader

from pytest_diffopt import assert_no_graph_breaks, assert_no_syncs, assert_repeatable, no_syncs
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.probes.counts import count_call
from pytest_diffopt.probes.memory import measure_peak_memory_simulated
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Subject
from pytest_diffopt.simulated_gpu import SimulatedGPU
from tests.unit.simulated_gpu.others_tests import tests_of_accelerate, tests_of_torch

_PATCHED = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, type, property)


def attributes() -> dict[str, int]:
    """Return the identity of each function, class and property of torch's modules, of tensors and of modules."""
    owners = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torch"}
    owners |= {"Tensor": torch.Tensor, "Module": nn.Module, "Parameter": nn.Parameter}  # type: ignore[dict-item]
    return {
        f"{owner}.{name}": id(value)
        for owner, module in owners.items()
        for name, value in list(vars(module).items())
        if isinstance(value, _PATCHED)
    }


def result_of(call: Callable[[], Any]) -> str:
    """Return the result of a call as text, or its error."""
    try:
        return str(call())
    except (RuntimeError, NotImplementedError, AssertionError, DiffoptError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def backward() -> Any:
    """Return a gradient."""
    weight = torch.ones(2, requires_grad=True)
    (weight * 3).sum().backward()  # type: ignore[no-untyped-call]
    return weight.grad


def loaded() -> Any:
    """Return the batches of a loader that is to pin its memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batches: Any = [torch.ones(1)]
        return list(DataLoader(batches, pin_memory=True))


def trained() -> Any:
    """Return the device and the losses of a training with accelerate, which looks for an accelerator itself."""
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.manual_seed(0)
    accelerator, layer = accelerate.Accelerator(), nn.Linear(2, 1)
    batches: Any = torch.ones(4, 2)
    loader: Any = DataLoader(batches, batch_size=2)
    layer, optimizer, loader = accelerator.prepare(layer, torch.optim.SGD(layer.parameters(), lr=0.1), loader)
    losses = []
    for batch in loader:
        loss = layer(batch).square().sum()
        accelerator.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return accelerator.device, losses


def dispatched() -> Any:
    """Return results of accelerate's offload and of its dispatch to devices."""
    torch.manual_seed(0)
    x = torch.ones(1, 2)
    offloaded = accelerate.cpu_offload(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), torch.device("cpu"))
    placed = accelerate.dispatch_model(nn.Sequential(nn.Linear(2, 2)), {"": "cpu"})
    return offloaded(x), placed(x)


def checked() -> Any:
    """Return whether torch's own check of gradients accepts operations of each kind."""

    def values(*shape: int) -> torch.Tensor:
        return torch.linspace(0.1, 0.9, math.prod(shape), dtype=torch.double).reshape(shape).requires_grad_()

    x, y, square, image, kernel = values(4), values(4), values(3, 3), values(1, 2, 5, 5), values(2, 2, 3, 3)
    operations: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "sin": (torch.sin, (x,)),
        "exp": (torch.exp, (x,)),
        "add": (torch.add, (x, y)),
        "mul": (torch.mul, (x, y)),
        "div": (torch.div, (x, y)),
        "pow": (torch.pow, (x, 3)),
        "where": (lambda a, b: torch.where(a > 0.5, a, b), (x, y)),
        "index": (lambda a: a[torch.tensor([0, 2])], (x,)),
        "masked": (lambda a: a[torch.tensor([True, False, True, False])], (x,)),
        "gather": (lambda a: a.gather(0, torch.tensor([3, 1])), (x,)),
        "scatter_add": (lambda a, b: a.scatter_add(0, torch.tensor([0, 0, 1, 2]), b), (x, y)),
        "cat": (lambda a, b: torch.cat([a, b]), (x, y)),
        "stack": (lambda a, b: torch.stack([a, b]), (x, y)),
        "cumsum": (lambda a: a.cumsum(0), (x,)),
        "softmax": (lambda a: a.softmax(0), (x,)),
        "logsumexp": (lambda a: a.logsumexp(0), (x,)),
        "std": (torch.std, (x,)),
        "sort": (lambda a: a.sort()[0], (x,)),
        "mm": (torch.mm, (square, square)),
        "inverse": (lambda a: (a + 2 * torch.eye(3, dtype=torch.double)).inverse(), (square,)),
        "einsum": (lambda a: torch.einsum("ij,jk->ik", a, a), (square,)),
        "linear": (functional.linear, (square, square)),
        "conv2d": (functional.conv2d, (image, kernel)),
        "group_norm": (lambda a: functional.group_norm(a, 1), (image,)),
        "layer_norm": (lambda a: functional.layer_norm(a, (5, 5)), (image,)),
        "interpolate": (lambda a: functional.interpolate(a, scale_factor=2), (image,)),
        "pad": (lambda a: functional.pad(a, (1, 1, 1, 1), mode="reflect"), (image,)),
        "silu": (functional.silu, (x,)),
        "gelu": (functional.gelu, (x,)),
        "attention": (lambda a: functional.scaled_dot_product_attention(a, a, a), (image,)),
    }
    return {name: torch.autograd.gradcheck(*operation) for name, operation in operations.items()}


def behaviours() -> dict[str, str]:
    """Return what torch does for users of an accelerator, a loader, a generator, an event or a stream."""
    calls: dict[str, Callable[[], Any]] = {
        "accelerator": torch.accelerator.current_accelerator,
        "is_available": torch.accelerator.is_available,
        "device_count": torch.accelerator.device_count,
        "pin_memory": lambda: torch.ones(1).pin_memory(),
        "empty, pinned": lambda: torch.empty(1, pin_memory=True),
        "is_pinned": lambda: torch.ones(1).is_pinned(),
        "loader": loaded,
        "generator": lambda: torch.randn(2, generator=torch.Generator().manual_seed(1)),
        "event": lambda: torch.Event().device,
        "cuda event": torch.cuda.Event,
        "stream": lambda: torch.Stream().device,
        "cuda stream": torch.cuda.Stream,
        "backward": backward,
        "operations": checked,
        "training with accelerate": trained,
        "offload by accelerate": dispatched,
        "seed": lambda: torch.manual_seed(1).initial_seed(),
        "device module": torch.get_device_module,
    }
    return {name: result_of(call) for name, call in calls.items()}


def settings() -> dict[str, str]:
    """Return the settings of torch and of the process."""
    hooks = {name: dict(value) for name, value in vars(nn.modules.module).items() if name.startswith("_global_")
             and isinstance(value, dict)}  # fmt: skip
    values: dict[str, Any] = {
        "backend": torch._C._get_privateuse1_backend_name(),
        "module of the backend": hasattr(torch, "privateuseone") or "torch.privateuseone" in sys.modules,
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "function modes": torch._C._len_torch_function_stack(),
        "dynamo": torch._dynamo.config.get_config_copy(),
        "inductor": torch._inductor.config.get_config_copy(),
        "stance": vars(torch._dynamo.eval_frame._stance),
        "random numbers": torch.get_rng_state().tolist(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "attention": [
            getattr(torch.backends.cuda, f"{name}_sdp_enabled")()
            for name in ("flash", "mem_efficient", "math", "cudnn")
        ],
        "autocast": [torch.is_autocast_enabled(device) for device in ("cpu", "cuda", "privateuseone")],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "hooks": hooks,
        "threads": torch.get_num_threads(),
        "warnings": [id(one) for one in warnings.filters],
        "show warning": id(warnings.showwarning),
        "garbage collector": gc.get_threshold(),
        "environment": dict(os.environ),
        "names of tensors": sorted(dir(torch.Tensor)),
        "names of modules": sorted(dir(nn.Module)),
        "names of storages": sorted(dir(torch.UntypedStorage)),
    }
    return {name: str(value) for name, value in values.items()}


def state() -> dict[str, Any]:
    """Return the whole state; what it does to reach it changes nothing of it."""
    return settings() | {"attributes": attributes()}


class Block(nn.Module):
    """A convolution and an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run both."""
        x = self.conv(x).flatten(2)[None]
        return functional.scaled_dot_product_attention(x, x, x)


def guarded() -> tuple[dict[str, Any], dict[str, Any]]:
    """Use the simulated GPU as the guards do, also with offload and with an error; return the states around it."""
    subject, x = Subject(pipeline="block"), torch.ones(1, 4, 8, 8)
    block, offloaded, compiled = Block(), Block(), torch.compile(Block(), backend="eager")
    assert_no_graph_breaks(compiled, x)  # before the first state, since the first compilation imports modules
    torch.manual_seed(1)
    before = state()
    with torch.no_grad():
        with watch_syncs(block, subject) as watch:
            block(watch.moved(x))
        diffusers.hooks.apply_group_offloading(offloaded, torch.device("cpu"), offload_type="leaf_level")
        with watch_syncs(offloaded, subject) as watch:
            offloaded(watch.moved(x))
        assert_no_syncs(block, x)
        assert_no_graph_breaks(compiled, x)
        count_call(block, [x], {}, subject)
        measure_peak_memory_simulated(block, [x], {}, subject)
    try:
        with SimulatedGPU() as gpu:
            torch.ones(2, device=gpu.device) + torch.ones(3)
    except RuntimeError:
        pass
    return before, state()


def simulated_backward() -> None:
    """Run a backward pass on the simulated GPU."""
    with SimulatedGPU() as gpu:
        torch.ones(2, device=gpu.device, requires_grad=True).sum().backward()  # type: ignore[no-untyped-call]


def broken(x: torch.Tensor) -> torch.Tensor:
    """Break the graph."""
    torch._dynamo.graph_break()
    return x + 1


def fails(_: torch.Tensor) -> torch.Tensor:
    """Raise."""
    message = "no image"
    raise RuntimeError(message)


def after_an_error() -> dict[str, str]:
    """Return, for each assertion that ended with the error of a call, whose function compiles then."""
    x = torch.ones(2)

    def in_a_block() -> None:
        with no_syncs(fails):
            fails(x)

    calls: dict[str, Callable[[], None]] = {
        "assert_no_graph_breaks": lambda: assert_no_graph_breaks(torch.compile(fails, backend="eager"), x),
        "assert_no_syncs": lambda: assert_no_syncs(fails, x),
        "assert_repeatable": lambda: assert_repeatable(fails, x),
        "no_syncs": in_a_block,
    }
    return {name: f"{result_of(call)}, {convert_frame._compile.__module__}" for name, call in calls.items()}


def show(found: dict[str, Any]) -> None:
    """Print an object as JSON."""
    sys.stdout.write(json.dumps(found))


def main() -> None:
    """Print the states."""
    if "--backward-first" in sys.argv:
        show({"simulated backward": result_of(simulated_backward), "behaved after": behaviours()})
        return
    behaviours()  # the first calls import modules
    behaved_before = behaviours()
    before, after = guarded()
    behaved_after = behaviours()
    with SimulatedGPU():
        behaved_inside = behaviours()
    compiled = torch.compile(broken, backend="eager")
    found = {
        "before": before,
        "after": after,
        "behaved_before": behaved_before,
        "behaved_after": behaved_after,
        "behaved_inside": behaved_inside,
        "after an error": after_an_error(),
        "graph breaks": [result_of(lambda: assert_no_graph_breaks(compiled, torch.ones(2))) for _ in range(2)],
        "tests of accelerate": tests_of_accelerate(),
        "tests of torch": tests_of_torch(),
        "simulated backward": result_of(simulated_backward),
        "behaved_after_a_backward_pass": behaviours(),
    }
    show(found)


if __name__ == "__main__":
    main()
