"""What of torch behaves otherwise while a GPU is simulated, and only then."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import flex_attention

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.simulated_gpu.backend import fast_paths, pinned_memory
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.module_snapshot import ModuleSnapshot, keeping_apply
from pytest_diffopt.simulated_gpu.backend.modules import moving_to
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor


@contextmanager
def applied(dispatcher: Dispatcher, snapshot: ModuleSnapshot, names: dict[int, str]) -> Iterator[None]:
    """Patch what cannot be reached otherwise, and restore it."""
    patches = (
        (nn.Module, "_apply", keeping_apply(snapshot)),
        (nn.Module, "to", moving_to(dispatcher, snapshot)),
        (nn.Module, "_call_impl", _named_call(dispatcher, snapshot, names)),
        (torch.Tensor, "data", _data(snapshot)),
        (torch.Tensor, "pin_memory", lambda tensor, *_: pinned_memory.pin(tensor)),
        (torch.Tensor, "is_pinned", lambda tensor, *_: pinned_memory.is_pinned(tensor)),
        (functional, "linear", fast_paths.linear(dispatcher)),
        (torch, "Generator", _generators(dispatcher)),
        (torch.cuda, "synchronize", _waiting(dispatcher, "torch.cuda.synchronize")),
        (torch.accelerator, "synchronize", _waiting(dispatcher, "torch.accelerator.synchronize")),
        (flex_attention, "_validate_device", _accepting(flex_attention._validate_device)),  # noqa: SLF001
    )
    with private.patched(*patches), private.registrations_seen(snapshot.keep_registering):
        yield


def _named_call(dispatcher: Dispatcher, snapshot: ModuleSnapshot, names: dict[int, str]) -> Callable[..., Any]:
    """Return what stands for `nn.Module._call_impl`, which calls end in: it says which module runs.

    Not for `__call__` itself: a method with a slot in every class takes milliseconds to change where there are
    thousands of classes. A module that was compiled in place calls what was compiled; kept, it is named as well.
    """
    original = nn.Module._call_impl  # noqa: SLF001 - as above
    thread = dispatcher.ledger.thread

    def run(module: nn.Module, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outer = thread.module
        thread.module = names.get(id(module)) or type(module).__name__
        try:
            return function(*args, **kwargs)
        finally:
            thread.module = outer

    def call(*args: Any, **kwargs: Any) -> Any:
        snapshot.keep_called(args[0])  # it may move what it holds by itself
        return run(args[0], original, args, kwargs)

    def naming(module: nn.Module, compiled: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(compiled)(lambda *args, **kwargs: run(module, compiled, args, kwargs))

    snapshot.name_compiled(naming)
    return call


def _data(snapshot: ModuleSnapshot) -> property:
    """Return what stands for `Tensor.data`: a host tensor may be given data on the device, as on a real GPU."""
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
    """Return what stands for `torch.Generator`: it also makes generators of the simulated GPU."""
    original = torch.Generator

    class DeviceGenerator(original):  # type: ignore[misc,valid-type]
        """Draws on the host and says that it lives on the device."""

        device = private.claim_backend()

    class Meta(type):
        def __instancecheck__(cls, thing: Any) -> bool:
            return isinstance(thing, original)

        def __call__(cls, device: Any = "cpu") -> torch.Generator:
            if torch.device(device).type != private.DEVICE_TYPE:
                return original(device=device)
            generator: torch.Generator = DeviceGenerator()
            dispatcher.generators[private.generator_identity(generator)] = generator
            return generator

    class Generator(metaclass=Meta):
        """Makes generators."""

    return Generator


def _waiting(dispatcher: Dispatcher, name: str) -> Callable[..., None]:
    def wait(*_: Any, **__: Any) -> None:
        dispatcher.wait(name, {})

    return wait


def _accepting(validate: Callable[..., None]) -> Callable[..., None]:
    def check(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        if not isinstance(query, SimulatedTensor):
            validate(query, key, value)

    return check
