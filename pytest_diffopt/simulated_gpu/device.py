"""The context manager in which a GPU is simulated."""

import gc
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType, TracebackType
from typing import Any, Self

import torch
from torch import nn

from pytest_diffopt._torch_private.spare_backend import (
    claim_backend,
    device_module,
    remember_device_constructors,
)
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.simulated_gpu.backend import attention, copies, creation, decompositions, patches
from pytest_diffopt.simulated_gpu.backend.device_module import DeviceModule
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher, Handlers
from pytest_diffopt.simulated_gpu.backend.leftovers import evict_leftovers
from pytest_diffopt.simulated_gpu.backend.module_snapshot import ModuleSnapshot
from pytest_diffopt.simulated_gpu.backend.tensor import NO_SIMULATION, SimulatedTensor
from pytest_diffopt.simulated_gpu.cost import gpus
from pytest_diffopt.simulated_gpu.cost.accounting import CostLedger
from pytest_diffopt.simulated_gpu.observations import AttentionChoice, Counts, Sync

_entering = threading.Lock()
_YOUNG_FACTOR = 16
_OLD_THRESHOLD = 10_000


class SimulatedGPU:
    """A CUDA GPU, simulated on any machine: counts what a pipeline does and where it synchronizes.

    Small tensors hold real values, so a program takes its real control flow. Large floating tensors hold only their
    shape, so full-size models run in seconds without weights. The counts can be read inside the block and after it;
    entering again starts from zero. Torch is restored when the block ends; only its spare backend stays claimed.

    Attributes:
        gpu_model: the simulated GPU model.
        device: the `torch.device` of type `privateuseone` to move modules and tensors to.
        real_up_to: floating tensors of more elements keep only their shape, and so do integers and masks of more than
            16 million elements; `math.inf` keeps all values.
        placeholder_values: whether reading a value that does not exist returns zero and is listed in `placeholders`;
            otherwise it raises.
    """

    def __init__(
        self, name: str = "nvidia-h200", *, real_up_to: float = 4096, placeholder_values: bool = False
    ) -> None:
        self.gpu_model = gpus.gpu_model(name)
        self.real_up_to = real_up_to
        self.placeholder_values = placeholder_values
        self._start()

    def _start(self) -> None:
        self._ledger = CostLedger(
            workspace_bytes=gpus.cublas_workspace_bytes(self.gpu_model), l2_bytes=self.gpu_model.l2_bytes
        )
        self._attention = attention.AttentionRunner(self.gpu_model)
        self._names: dict[int, str] = {}
        self._named: list[nn.Module] = []
        self._snapshot = ModuleSnapshot()
        self._exits = ExitStack()

    @property
    def device(self) -> torch.device:
        """The device to move modules and tensors to."""
        return claim_backend()

    def __enter__(self) -> Self:
        with _entering:
            if SimulatedTensor.executor is not NO_SIMULATION:
                message = "a simulated GPU is entered already; leave its block before entering another"
                raise SimulationError(message)
            _claim()
            self._start()
            self._exits = self._entered(self._dispatcher())
        return self

    def _dispatcher(self) -> Dispatcher:
        handlers = Handlers(
            by_operation={**copies.HANDLERS, **decompositions.HANDLERS, **decompositions.BY_OVERLOAD},
            on_host={**attention.ON_HOST, **decompositions.ON_HOST},
            attention=self._attention,
        )
        return Dispatcher(
            self._ledger, handlers, real_up_to=self.real_up_to, placeholder_values=self.placeholder_values
        )

    def _device_module(self, dispatcher: Dispatcher) -> DeviceModule:
        return DeviceModule(
            memory=self._ledger.memory,
            on_synchronize=lambda name: dispatcher.note_syncs(name, {}),
        )

    def _entered(self, dispatcher: Dispatcher) -> ExitStack:
        """Start the simulation; closing the returned stack ends it."""
        with ExitStack() as exits:
            exits.enter_context(_fewer_collections())
            exits.callback(_set_executor, NO_SIMULATION)
            exits.callback(evict_leftovers, self._ledger)
            exits.callback(self._snapshot.restore)
            exits.callback(self._ledger.close)
            exits.enter_context(torch.compiler.set_stance("force_eager"))
            exits.enter_context(patches.applied(dispatcher, self._snapshot, self._names))
            exits.enter_context(device_module(self._device_module(dispatcher)))
            _set_executor(dispatcher)
            return exits.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()
        self._named.clear()
        self._names.clear()

    def enter_phase(self, phase: Hashable | None) -> None:
        """Attribute everything until the next call to a phase; None is outside every phase."""
        self._ledger.phase = phase

    def name_modules(self, modules: Mapping[str, nn.Module]) -> None:
        """Count by module path, such as `unet.mid_block.attentions.0`, instead of by class."""
        for root, module in modules.items():
            self._named.append(module)  # keeps the module alive, so that its id stays unique
            for path, one in module.named_modules():
                self._names[id(one)] = f"{root}.{path}" if path else root

    def keep(self, thing: Any) -> None:
        """Restore an object's attributes on leaving, if they hold simulated tensors by then.

        Modules are restored without this call; it is for other objects, such as schedulers.
        """
        self._snapshot.keep_object(thing)

    @property
    def syncs(self) -> tuple[Sync, ...]:
        """Each host-device synchronization, in order."""
        return self._ledger.syncs

    @property
    def counts(self) -> Counts:
        """The total counts."""
        return self._ledger.total()

    @property
    def flops(self) -> int:
        """Floating-point operations of matrix products, convolutions and attention."""
        return self.counts.flops

    @property
    def operations(self) -> int:
        """Operations that launch work on the GPU."""
        return self._ledger.operations()

    @property
    def launches(self) -> int:
        """Kernels and library calls that the operations launch, by what the null GPU counted of each."""
        return self.counts.launches

    @property
    def bytes_to_device(self) -> int:
        """Bytes copied over the bus to the GPU."""
        return self.counts.bytes_to_device

    @property
    def bytes_to_host(self) -> int:
        """Bytes copied over the bus to the host."""
        return self.counts.bytes_to_host

    @property
    def allocated_bytes(self) -> int:
        """Sum of all allocations, each rounded up as by CUDA's caching allocator."""
        return self.counts.allocated_bytes

    @property
    def live_memory_bytes(self) -> int:
        """Bytes that are allocated now, or were when the block ended, as CUDA's caching allocator counts them."""
        return self._ledger.memory.live_bytes

    @property
    def live_tensor_bytes(self) -> int:
        """The same by tensors, each rounded up to 512 bytes: without what the allocator adds to a block."""
        return self._ledger.memory.live_tensor_bytes

    @property
    def peak_memory_bytes(self) -> int:
        """Most bytes that were allocated at one moment, as CUDA's caching allocator counts them, without workspaces."""
        return self._ledger.memory.peak_bytes

    @property
    def workspace_bytes(self) -> int:
        """Bytes of cuBLAS' workspace, which torch allocates at the first matrix product and never releases."""
        return self._ledger.memory.workspace_bytes

    @property
    def reserved_memory_bytes(self) -> int:
        """Bytes that CUDA's caching allocator has reserved now, with cuBLAS' workspace."""
        return self._ledger.memory.reserved_bytes

    @property
    def peak_reserved_memory_bytes(self) -> int:
        """Most bytes that CUDA's caching allocator had reserved at one moment, with cuBLAS' workspace."""
        return self._ledger.memory.peak_reserved_bytes

    @property
    def phases(self) -> Mapping[Hashable, Counts]:
        """The counts of each phase, in order of appearance."""
        return MappingProxyType(self._ledger.by_phase())

    @property
    def modules(self) -> Mapping[str, Counts]:
        """The counts of each module, without the modules that it calls; "" is outside every module."""
        return MappingProxyType(self._ledger.by_module())

    @property
    def unmodelled(self) -> tuple[str, ...]:
        """Operations without a shape rule or a known cost."""
        return tuple(sorted(self._ledger.unmodelled))

    @property
    def placeholders(self) -> tuple[tuple[str, CodeLocation], ...]:
        """Reads of values that do not exist, which returned zeros: the operation and the line."""
        return tuple(self._ledger.placeholders)

    @property
    def attention(self) -> tuple[AttentionChoice, ...]:
        """The attention kernels that CUDA would run."""
        return self._attention.choices

    @property
    def peak_holders(self) -> tuple[tuple[CodeLocation, int], ...]:
        """The lines of user code that held memory at the peak, with their bytes, the largest first."""
        return self._ledger.peak_holders()

    @property
    def live_holders(self) -> tuple[tuple[CodeLocation, int], ...]:
        """The lines of user code that hold memory now, with their bytes, the largest first."""
        return self._ledger.live_holders()


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Run the garbage collector less often, and only on young objects.

    A simulated tensor is several Python objects, so collections would run more often than on a real GPU, and a full
    collection with torch imported takes half a second.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young * _YOUNG_FACTOR, middle, max(old, _OLD_THRESHOLD))
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


def _set_executor(executor: Any) -> None:
    SimulatedTensor.executor = executor


_is_registered = False


def _claim() -> None:
    global _is_registered  # noqa: PLW0603 - torch's registry is global to the process too
    claim_backend()
    remember_device_constructors()
    if not _is_registered:
        creation.register()
        _is_registered = True
