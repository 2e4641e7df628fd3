"""The parts of torch that are patched while a GPU is simulated."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pytest_diffopt._torch_private.backward_passes import backward_function, is_without_queue, runs_on
from pytest_diffopt._torch_private.higher_order_operators import flex_attention_device_check
from pytest_diffopt._torch_private.module_internals import call_method, registration_hook
from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE, claim_backend, require_accelerator
from pytest_diffopt._torch_private.storages import generator_address
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.backend import fast_paths, pinned_memory
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.module_snapshot import ModuleSnapshot, recording_apply
from pytest_diffopt.simulated_gpu.backend.modules import module_to
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor


@contextmanager
def applied(dispatcher: Dispatcher, snapshot: ModuleSnapshot, names: dict[int, str]) -> Iterator[None]:
    """Patch what cannot be implemented through the backend, and restore it afterwards."""
    flex_attention, name, validate = flex_attention_device_check()
    autograd, start, run_backward = backward_function()
    patches = (
        (nn.Module, "_apply", recording_apply(snapshot)),
        (nn.Module, "to", module_to(dispatcher, snapshot)),
        (nn.Module, "_call_impl", _named_call(dispatcher, snapshot, names)),
        (torch.Tensor, "data", _data(snapshot)),
        (torch.Tensor, "pin_memory", lambda tensor, *_: pinned_memory.pin(tensor)),
        (torch.Tensor, "is_pinned", _is_pinned()),
        *((torch, name, _pinning(getattr(torch, name))) for name in _FACTORIES),
        (functional, "linear", fast_paths.linear(dispatcher)),
        (autograd, start, _with_accelerator(run_backward)),
        (torch, "Generator", _generators(dispatcher)),
        (torch.cuda, "synchronize", _synchronize(dispatcher, "torch.cuda.synchronize")),
        (torch.accelerator, "synchronize", _synchronize(dispatcher, "torch.accelerator.synchronize")),
        (flex_attention, name, _accepting_simulated(validate)),
    )
    with _patched(*patches), registration_hook(snapshot.keep_registering):
        yield


@contextmanager
def _patched(*patches: tuple[Any, str, Any]) -> Iterator[None]:
    """Set attributes, given as (owner, name, value), and restore them afterwards."""
    kept = [(owner, name, owner.__dict__.get(name, _ABSENT)) for owner, name, _ in patches]
    for owner, name, value in patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in reversed(kept):
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


_ABSENT = object()
_FACTORIES = (
    "arange", "empty", "empty_like", "empty_strided", "full", "full_like", "ones", "ones_like", "rand", "rand_like",
    "randint", "randn", "randn_like", "tensor", "zeros", "zeros_like",
)  # fmt: skip


def _named_call(dispatcher: Dispatcher, snapshot: ModuleSnapshot, names: dict[int, str]) -> Callable[..., Any]:
    """Return the replacement of `nn.Module._call_impl`: it records which module runs.

    `__call__` itself is not patched: changing a special method updates each of thousands of subclasses, which takes
    milliseconds. A module that was compiled in place bypasses `_call_impl`, so its compiled call is wrapped too.
    """
    original = call_method()
    thread = dispatcher.ledger.thread

    def run(module: nn.Module, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outer = thread.module
        thread.module = names.get(id(module)) or type(module).__name__
        try:
            return function(*args, **kwargs)
        finally:
            thread.module = outer

    def call(*args: Any, **kwargs: Any) -> Any:
        snapshot.keep_called(args[0])  # it may move its tensors when it runs
        return run(args[0], original, args, kwargs)

    def naming(module: nn.Module, compiled: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(compiled)(lambda *args, **kwargs: run(module, compiled, args, kwargs))

    snapshot.name_compiled(naming)
    return call


def _data(snapshot: ModuleSnapshot) -> property:
    """Return the replacement of `Tensor.data`: a host tensor can be set to data on the device, as on a real GPU."""
    original = torch.Tensor.data

    def get(tensor: torch.Tensor) -> torch.Tensor:
        return original.__get__(tensor)  # type: ignore[attr-defined,no-any-return]

    def set_(tensor: torch.Tensor, other: torch.Tensor) -> None:
        if isinstance(other, SimulatedTensor) and not isinstance(tensor, SimulatedTensor):
            snapshot.set_data(tensor, other)
        else:
            original.__set__(tensor, other)  # type: ignore[attr-defined]

    return property(get, set_)


def _generators(dispatcher: Dispatcher) -> type:
    """Return the replacement of `torch.Generator`, which also makes generators of the simulated GPU."""
    original = torch.Generator

    class DeviceGenerator(original):  # type: ignore[misc,valid-type]
        """Draws numbers on the host; its `device` is the simulated GPU."""

        device = claim_backend()

    class Meta(type):
        def __instancecheck__(cls, thing: Any) -> bool:
            return isinstance(thing, original)

        def __call__(cls, device: Any = "cpu") -> torch.Generator:
            if torch.device(device).type != DEVICE_TYPE:
                return original(device=device)
            generator: torch.Generator = DeviceGenerator()
            dispatcher.generators[generator_address(generator)] = generator
            return generator

    class Generator(metaclass=Meta):
        """Makes generators."""

    return Generator


def _is_pinned() -> Callable[..., bool]:
    """Return the replacement of `Tensor.is_pinned`, which also knows memory that the simulation has pinned."""
    original = torch.Tensor.is_pinned
    return lambda tensor, *args: pinned_memory.is_pinned(tensor) or original(tensor, *args)


def _pinning(create: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return the replacement of a function that makes tensors: it pins their memory without a real GPU."""

    @functools.wraps(create)
    def pinning(*args: Any, **kwargs: Any) -> torch.Tensor:
        is_pinned = kwargs.pop("pin_memory", False)
        tensor = create(*args, **kwargs)
        return pinned_memory.pin(tensor) if is_pinned else tensor

    return pinning


def _with_accelerator(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Return the replacement of the function that starts a backward pass."""

    def run(outputs: Any, *args: Any, **kwargs: Any) -> Any:
        if runs_on(outputs, DEVICE_TYPE):
            require_accelerator()
        try:
            return backward(outputs, *args, **kwargs)
        except RuntimeError as error:
            if not is_without_queue(error):
                raise
            message = (
                "a backward pass on a simulated GPU needs a process that ran none before the first simulated GPU: "
                "torch makes the queues of all devices at the first one; run this test alone, or first"
            )
            raise SimulationError(message) from error

    return run


def _synchronize(dispatcher: Dispatcher, name: str) -> Callable[..., None]:
    def synchronize(*_: Any, **__: Any) -> None:
        dispatcher.note_syncs(name, {})

    return synchronize


def _accepting_simulated(validate: Callable[..., None]) -> Callable[..., None]:
    def check(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        if not isinstance(query, SimulatedTensor):
            validate(query, key, value)

    return check
