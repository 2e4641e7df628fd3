"""A GPU that is not there: the context manager that everything else serves."""

import gc
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType, TracebackType
from typing import Any, Self

import torch
from torch import nn

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.simulated_gpu.backend import attention, copies, creation, decompositions, patches
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher, Handlers
from pytest_diffopt.simulated_gpu.backend.module_snapshot import ModuleSnapshot
from pytest_diffopt.simulated_gpu.backend.tensor import NO_SIMULATION, SimulatedTensor
from pytest_diffopt.simulated_gpu.cost import gpus
from pytest_diffopt.simulated_gpu.cost.accounting import Ledger
from pytest_diffopt.simulated_gpu.observations import AttentionChoice, Counts, Sync

_entering = threading.Lock()
_LESS_OFTEN = 16
_SELDOM = 10_000


class SimulatedGPU:
    """A CUDA GPU that any machine can run pipelines on, to count what they do and where they wait.

    Small tensors hold real numbers, so a program takes its true path; large floating ones hold only their shape, so
    full-size models run in seconds without weights. What it has seen can be read inside the block and after it;
    entering again starts anew. The one thing that outlives the block is that torch's spare backend has been claimed.

    Attributes:
        gpu_model: the GPU's facts.
        device: where to move things: a `torch.device` of type `simgpu`.
        real_up_to: floating tensors of more elements keep only their shape; `math.inf` keeps all values.
        placeholder_values: answer reads of values that do not exist with zero, and note them in `invented`.
    """

    def __init__(
        self, name: str = "nvidia-h200", *, real_up_to: float = 4096, placeholder_values: bool = False
    ) -> None:
        self.gpu_model = gpus.gpu_model(name)
        self.real_up_to = real_up_to
        self.placeholder_values = placeholder_values
        self._start()

    def _start(self) -> None:
        self._ledger = Ledger()
        self._attention = attention.AttentionRunner(self.gpu_model)
        self._names: dict[int, str] = {}
        self._named: list[nn.Module] = []
        self._snapshot = ModuleSnapshot()
        self._exits = ExitStack()
        self._is_entered = False

    @property
    def device(self) -> torch.device:
        """The device to move things to."""
        return private.claim_backend()

    def __enter__(self) -> Self:
        with _entering:
            if SimulatedTensor.executor is not NO_SIMULATION:
                message = "a simulated GPU is entered already; leave its block before entering another"
                raise SimulationError(message)
            _claim()
            self._start()
            by_operation = {**copies.HANDLERS, **decompositions.HANDLERS}
            handlers = Handlers(
                by_operation=by_operation,
                on_host={**attention.ON_HOST, **decompositions.ON_HOST},
                attention=self._attention,
            )
            dispatcher = Dispatcher(
                self._ledger, handlers, real_up_to=self.real_up_to, placeholder_values=self.placeholder_values
            )
            with ExitStack() as exits:
                exits.enter_context(_fewer_collections())
                exits.callback(_set_executor, NO_SIMULATION)
                exits.callback(self._snapshot.restore)
                exits.callback(self._ledger.close)
                exits.enter_context(torch.compiler.set_stance("force_eager"))
                exits.enter_context(patches.applied(dispatcher, self._snapshot, self._names))
                private.BACKEND.wait = lambda name: dispatcher.wait(name, {})
                private.BACKEND.figures = lambda: (self._ledger.live_bytes, self._ledger.peak_bytes)
                _set_executor(dispatcher)
                self._exits = exits.pop_all()
            self._is_entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_entered = False
        self._exits.close()
        self._named.clear()
        self._names.clear()

    def enter_phase(self, phase: Hashable | None) -> None:
        """Let everything that follows belong to a phase, until the next call; None is outside every phase."""
        self._ledger.phase = phase

    def name_modules(self, modules: Mapping[str, nn.Module]) -> None:
        """Let figures be kept by module path, as `unet.mid_block.attentions.0`, instead of by class."""
        for root, module in modules.items():
            self._named.append(module)  # an id is only a name as long as its module lives
            for path, one in module.named_modules():
                self._names[id(one)] = f"{root}.{path}" if path else root

    def keep(self, thing: Any) -> None:
        """Give an object's attributes back on leaving, where they hold simulated tensors by then.

        Modules that are moved inside the block are kept without asking; this is for the rest, such as schedulers.
        """
        self._snapshot.keep_object(thing)

    @property
    def syncs(self) -> tuple[Sync, ...]:
        """Each time the CPU would have waited, in order."""
        return self._ledger.syncs

    @property
    def counts(self) -> Counts:
        """All figures in total."""
        return self._ledger.total()

    @property
    def flops(self) -> int:
        """Floating-point operations of matrix products, convolutions and attention."""
        return self.counts.flops

    @property
    def operations(self) -> int:
        """Operations that launch work on the GPU."""
        return self.counts.operations

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
        """Sum of all allocations, rounded as CUDA's caching allocator does."""
        return self.counts.allocated_bytes

    @property
    def live_memory_bytes(self) -> int:
        """Bytes that are allocated now, or were when the block ended."""
        return self._ledger.live_bytes

    @property
    def peak_memory_bytes(self) -> int:
        """Most bytes that were allocated at one moment."""
        return self._ledger.peak_bytes

    @property
    def phases(self) -> Mapping[Hashable, Counts]:
        """The figures of each phase, in order of appearance."""
        return MappingProxyType(self._ledger.by_phase())

    @property
    def modules(self) -> Mapping[str, Counts]:
        """The figures of each module by itself, without the modules that it calls; "" is outside every module."""
        return MappingProxyType(self._ledger.by_module())

    @property
    def unmodelled(self) -> tuple[str, ...]:
        """Operations of which the shape rule or the cost is not known."""
        return tuple(sorted(self._ledger.unmodelled))

    @property
    def placeholders(self) -> tuple[tuple[str, CodeLocation], ...]:
        """Reads of values that do not exist, and were answered with zeros."""
        return tuple(self._ledger.placeholders)

    @property
    def attention(self) -> tuple[AttentionChoice, ...]:
        """Which attention kernels CUDA would have run."""
        return self._attention.choices

    @property
    def peak_holders(self) -> tuple[tuple[CodeLocation, int], ...]:
        """The lines of user code that held memory at the peak, with their bytes, the greatest first."""
        return self._ledger.peak_holders()


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Let the garbage collector look seldom, and through young objects alone.

    A simulated tensor is several Python objects, so it would look more often than on a real GPU; and a walk through
    all of torch takes half a second.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young * _LESS_OFTEN, middle, max(old, _SELDOM))
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


def _set_executor(executor: Any) -> None:
    SimulatedTensor.executor = executor


_is_registered = False


def _claim() -> None:
    global _is_registered  # noqa: PLW0603 - torch's registry is of the process as well
    private.claim_backend()
    if not _is_registered:
        creation.register()
        _is_registered = True
