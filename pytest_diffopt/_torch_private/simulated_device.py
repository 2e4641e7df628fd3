"""The one file that touches what torch keeps to itself.

PyTorch has one spare backend (`PrivateUse1`) for devices that it does not know. In torch 2.11 it can be set up from
Python. Claiming it is once per process and cannot be undone: the name `simgpu` stays known to torch afterwards, and
nothing else does.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._higher_order_ops.flex_attention import flex_attention, sdpa_dense
from torch._higher_order_ops.out_dtype import out_dtype, out_dtype_dense
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode, UnsupportedOperatorException
from torch.utils import backend_registration
from torch.utils.flop_counter import flop_registry

from pytest_diffopt.errors import SimulationError

DEVICE_TYPE = "simgpu"
NO_TORCH_FUNCTION: Any = torch._C._disabled_torch_function_impl  # documented for subclasses that need none
FAKE_CUDA = torch.device("cuda", 0)
NO_SHAPE_RULE = (UnsupportedOperatorException, DynamicOutputShapeException, NotImplementedError)
_VERSION_WITH_PYTHON_BACKENDS = "2.11"
_library: Any = torch.library.Library
_kernels: list[Any] = []  # a library's kernels live as long as it does


class BackendModule:
    """What torch and its users ask of `torch.simgpu`; the memory questions are answered by the running simulation."""

    def __init__(self) -> None:
        self.figures: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.wait: Callable[[str], None] = lambda _: None

    def is_initialized(self) -> bool:
        """Tell torch that there is nothing to set up."""
        return True

    def is_available(self) -> bool:
        """Tell torch that the device is there."""
        return True

    def current_device(self) -> int:
        """Return the only device."""
        return 0

    def set_device(self, device: Any) -> None:
        """Accept the only device."""

    def device_count(self) -> int:
        """Return that there is one device."""
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Do nothing: the host's generator, which was seeded already, makes this device's numbers."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Return what autocast may be asked for, as on CUDA."""
        return [torch.float16, torch.bfloat16, torch.float32]

    def get_rng_state(self, _device: Any = None) -> torch.Tensor:
        """Return the host generator's state, which makes this device's numbers."""
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, _device: Any = None) -> None:
        """Set the host generator's state."""
        torch.set_rng_state(state)

    def synchronize(self, _device: Any = None) -> None:
        """Wait for the device."""
        self.wait("torch.simgpu.synchronize")

    def empty_cache(self) -> None:
        """Do nothing: no freed memory is kept."""

    def memory_allocated(self, _device: Any = None) -> int:
        """Return the bytes that are allocated now."""
        return self.figures()[0]

    def max_memory_allocated(self, _device: Any = None) -> int:
        """Return the most bytes that were allocated at one moment."""
        return self.figures()[1]


BACKEND = BackendModule()


@functools.lru_cache(maxsize=1)
def claim_backend() -> torch.device:
    """Make torch's spare backend ours, once per process.

    Raises:
        SimulationError: torch is too old, or another package has taken the backend.
    """
    set_up = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    if set_up is None:
        message = (
            f"the simulated GPU needs torch >= {_VERSION_WITH_PYTHON_BACKENDS}, which lets Python set up a "
            f"device; this is torch {torch.__version__}"
        )
        raise SimulationError(message)
    if getattr(torch, DEVICE_TYPE, None) is BACKEND:
        return torch.device(DEVICE_TYPE, 0)
    taken_by = backend_name()
    if taken_by != "privateuseone":
        message = (
            f"the simulated GPU needs PyTorch's spare backend (PrivateUse1), and {_who_took(taken_by)} has taken it in "
            f"this process; run the simulation in a process that does not import it"
        )
        raise SimulationError(message)
    set_up(rename=DEVICE_TYPE, backend_module=BACKEND)
    # Without a kernel of its own, an operation under autocast is carried out as it was asked for.
    autocast = _library("_", "IMPL")
    autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _kernels.append(autocast)
    return torch.device(DEVICE_TYPE, 0)


def backend_name() -> str:
    """Return what torch's spare backend is called; `privateuseone` while nobody has claimed it."""
    return str(torch._C._get_privateuse1_backend_name())


def _who_took(backend: str) -> str:
    module = getattr(torch, backend, None)
    file = getattr(module, "__file__", None) or type(module).__module__
    return f"{backend!r} ({file})"


def register_kernels(kernels: dict[str, Callable[..., Any]], key: str) -> None:
    """Make Python functions carry out aten operations on the spare backend, for as long as this process lives."""
    library = _library("aten", "IMPL")
    for name, kernel in kernels.items():
        library.impl(name, kernel, key)
    _kernels.append(library)


def kernel_name(overload: OpOverload) -> str:
    """Return the name under which torch registers kernels of an overload: `arange.start`, `group_norm`."""
    return str(overload).split(".", 1)[1].removesuffix(".default")


def is_watched() -> bool:
    """Tell whether torch must see every operation: for gradients, or for a mode that somebody entered."""
    return torch.is_grad_enabled() or has_modes()


def has_modes() -> bool:
    """Tell whether somebody entered a mode that sees operations before a device does."""
    return bool(_len_dispatch_stack() or _len_function_stack())


_len_dispatch_stack: Callable[[], int] = torch._C._len_torch_dispatch_stack
_len_function_stack: Callable[[], int] = torch._C._len_torch_function_stack


# (device, dtype, non_blocking, memory_format) of the many ways in which `to` may be called.
parse_to: Callable[..., tuple[torch.device | None, torch.dtype | None, bool, torch.memory_format | None]]
parse_to = torch._C._nn._parse_to


def bare_call(overload: OpOverload) -> Callable[..., Any]:
    """Return what an operation's `__call__` calls."""
    return overload._op


@functools.lru_cache(maxsize=1)
def device() -> torch.device:
    """Return the simulated GPU, which has its name only once the backend is claimed."""
    return torch.device(DEVICE_TYPE, 0)


# (cls, shape, strides, offset, memory format, dtype, layout, device): a tensor without memory that says where it lives.
make_wrapper: Callable[..., Any] = torch.Tensor._make_wrapper_subclass


def set_wrapper(wrapper: torch.Tensor, like: torch.Tensor) -> None:
    """Give a wrapper the shape, stride and dtype of another."""
    torch.Tensor.data.__set__(wrapper, like)  # type: ignore[attr-defined]


@functools.lru_cache(maxsize=1)
def _shape_rules() -> FakeTensorMode:
    return FakeTensorMode()


@contextmanager
def shape_rules() -> Iterator[None]:
    """Enter the mode that knows which shapes, strides and dtypes CUDA's operations yield, without a CUDA.

    An operation that is called wrongly raises; the mode would also write the traceback into the log.
    """
    log = logging.getLogger("torch._subclasses.fake_tensor")
    was_disabled, log.disabled = log.disabled, True
    try:
        with _shape_rules():
            yield
    finally:
        log.disabled = was_disabled


def let_flex_attention_in(cls: type[torch.Tensor]) -> None:
    """Let FlexAttention run on a tensor subclass: uncompiled it materializes the scores, on CUDA as everywhere."""
    flex_attention.py_impl(cls)(sdpa_dense)


def let_out_dtype_in(cls: type[torch.Tensor]) -> None:
    """Let `out_dtype` run on a tensor subclass: uncompiled its int8 product is one call of `_int_mm`, as on CUDA."""
    out_dtype.py_impl(cls)(_out_dtype)


def _out_dtype(operation: OpOverload, output_dtype: torch.dtype, *args: Any) -> Any:
    if operation is torch.ops.aten.mm.default and {one.dtype for one in args} == {torch.int8}:
        return torch._int_mm(*args)
    return out_dtype_dense(operation, output_dtype, *args)


def memory_format(tensor: torch.Tensor) -> torch.memory_format:
    """Return the memory format that a tensor's strides suggest."""
    return torch._prims_common.suggest_memory_format(tensor)


_WITHOUT_CUDA = (
    "not linked with support for cuda",
    "not compiled with CUDA",
    # A build for CUDA, as pip installs it, on a machine without a GPU: no driver, one too old, or no GPU for it.
    "Found no NVIDIA driver",
    "CUDA driver version is insufficient",
    "no CUDA-capable device",
)


def asks_for_cuda(error: Exception) -> bool:
    """Tell whether a shape rule failed because it touches the CUDA that torch does not have: its build, or a driver."""
    return any(words in str(error) for words in _WITHOUT_CUDA)


def has_flops(operation: OpOverload) -> bool:
    """Tell whether torch has a formula for an operation's floating-point operations; it has none for most."""
    return _flop_formula(operation) is not None


def flops_of(operation: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int:
    """Count the floating-point operations with torch's own formulas; 0 where none is known."""
    shapes = tuple((name, _shape(one)) for name, one in kwargs.items())
    return _flops(operation, tuple(map(_shape, args)), shapes, _shape(result))


# A formula takes longer than the tiny products that it is asked about again and again.
@functools.lru_cache(maxsize=100_000)
def _flops(operation: OpOverload, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...], result: Any) -> int:
    formula = _flop_formula(operation)
    return int(formula(*args, **dict(kwargs), out_shape=result)) if formula else 0


@functools.cache
def _flop_formula(operation: OpOverload) -> Callable[..., int] | None:
    packet = operation.overloadpacket
    formula = flop_registry.get(torch.ops.aten.mm if packet is torch.ops.aten._int_mm else packet)
    return inspect.unwrap(formula) if formula is not None else None  # the formula itself, which takes shapes


def _shape(value: Any) -> Any:
    """Return a shape in place of a tensor, as a formula takes it, and tuples in place of lists."""
    if isinstance(value, torch.Tensor):
        return value.shape
    return tuple(map(_shape, value)) if isinstance(value, tuple | list) else value


def generator_identity(generator: torch.Generator) -> int:
    """Return what stays the same when torch hands a generator through C++."""
    return int(generator._cdata)  # type: ignore[attr-defined]


def run_composite(operation: OpOverload, args: Any, kwargs: Any) -> Any:
    """Carry an operation out as torch composes it from others."""
    return operation._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)


def is_composite(operation: OpOverload) -> bool:
    """Tell whether torch composes an operation from others on every device."""
    name = str(operation._schema.name) + (
        f".{operation._schema.overload_name}" if operation._schema.overload_name else ""
    )
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, torch._C.DispatchKey.CompositeImplicitAutograd))


@contextmanager
def patched(*patches: tuple[Any, str, Any]) -> Iterator[None]:
    """Set attributes (owner, name, value) for a while."""
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


@contextmanager
def registrations_seen(see: Callable[[torch.nn.Module, str, Any], None]) -> Iterator[None]:
    """Call a function before any module takes a parameter or a buffer."""
    modules: Any = torch.nn.modules.module
    hooks = modules.register_module_parameter_registration_hook, modules.register_module_buffer_registration_hook
    handles = [register(see) for register in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def attention_order() -> tuple[int, ...]:
    """Return the numbers of attention kernels in the order in which torch asks them."""
    return tuple(torch._C._get_sdp_priority_order())


def attention_operation(kernel: str) -> OpOverload:
    """Return the operation behind one attention kernel."""
    if kernel == "math":
        return torch.ops.aten._scaled_dot_product_attention_math.default
    found: OpOverload = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}").default
    return found


def fused_softmax(name: str) -> OpOverload:
    """Return the kernel behind `aten.softmax` or `aten.log_softmax`."""
    found: OpOverload = getattr(torch.ops.aten, "_" + name.removeprefix("aten.")).default
    return found


def routed_operations(names: Iterable[str]) -> tuple[OpOverload, ...]:
    """Return the overloads of operations, given as `aten.group_norm`, that torch composes from others."""
    packets = [getattr(torch.ops.aten, name.removeprefix("aten.")) for name in names]
    return tuple(
        getattr(packet, name) for packet in packets for name in packet.overloads() if name in ("default", "int")
    )


def is_attention_enabled(kernel: str) -> bool:
    """Tell whether a program left an attention kernel (`flash`, `mem_efficient`, `cudnn`, `math`) switched on."""
    switches: Any = torch.backends.cuda
    return bool(getattr(switches, f"{kernel}_sdp_enabled")())


NORMS: Mapping[str, OpOverload] = {
    "group": torch.ops.aten.native_group_norm.default,
    "layer": torch.ops.aten.native_layer_norm.default,
}
LINEAR: Callable[..., torch.Tensor] = torch._C._nn.linear  # what `functional.linear` is outside every block


def is_autocast_on() -> bool:
    """Tell whether autocast chooses dtypes on the device."""
    return torch.is_autocast_enabled(DEVICE_TYPE)


def swap(one: torch.Tensor, other: torch.Tensor) -> None:
    """Let two tensors change places, with everything that refers to them."""
    swap_tensors: Any = torch.utils.swap_tensors
    swap_tensors(one, other)


def is_alone(tensor: torch.Tensor) -> bool:
    """Tell whether no other tensor looks at a tensor's memory."""
    return bool(torch._C._storage_Use_Count(tensor.untyped_storage()._cdata) == _TENSOR_AND_PYTHON)


_TENSOR_AND_PYTHON = 2  # who holds a storage that Python was shown: its tensor, and Python


def copied_on_write(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return a copy that takes no memory until it or the original is written to; None where torch cannot do that.

    It cannot where memory is not its own: a mapped file, an array of NumPy's. A part of a larger memory is not tried.
    """
    if tensor.untyped_storage().nbytes() != tensor.nbytes:
        return None
    try:
        return torch._lazy_clone(tensor)
    except RuntimeError:
        return None


def overload(name: str) -> OpOverload:
    """Return an aten overload by the name that kernels are registered under: `softmax.int`, `linear`."""
    packet, _, variant = name.partition(".")
    found: OpOverload = getattr(getattr(torch.ops.aten, packet), variant or "default")
    return found


def arguments(operation: OpOverload) -> Sequence[Any]:
    """Return what an operation takes, from its schema."""
    found: Sequence[Any] = operation._schema.arguments
    return found


def autocast_dtype() -> torch.dtype:
    """Return the dtype that autocast on the device was asked for."""
    return torch.get_autocast_dtype(DEVICE_TYPE)


def without_autocast() -> Any:
    """Return a context in which operations on the device run in the dtypes that they are given."""
    keys: Any = torch._C.DispatchKey
    return torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(keys.AutocastPrivateUse1))
