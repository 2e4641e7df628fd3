"""Parallelism: several processes compute one call together, by diffusers' `enable_parallelism`."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from typing_extensions import override

from pytest_diffopt._torch_private.device_count import a_device_for_each_process
from pytest_diffopt._torch_private.replacing import replaced
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import denoiser_names, denoisers_of
from pytest_diffopt.recipes.effect_reading import component_of, empty_steps, summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.parallel_state import context_config, exchanging_layers, planned_layers, uses_native_backend
from pytest_diffopt.records import CallEvidence, OperationKind, OptimizationEffect, OptimizationState

_ONE_KIND = "diffusers gives a model one kind of parallelism"
_OWN_DECISION = "each process decides by its own tokens, and waits forever for one that decides otherwise"
_PACKED = "diffusers cannot split packed weights"
_PLACED = "each process keeps its part of the weights on its device"
_NOT_DIVISIBLE = "must be divisible by mesh size"


@dataclass(frozen=True, kw_only=True)
class Parallelism(Optimization):
    """One call that several processes compute together; each returns the whole image."""

    stage: ClassVar[Stage] = Stage.PARALLELISM
    #: The attribute of diffusers' models that has the plan.
    plan: ClassVar[str]

    @property
    @abstractmethod
    def processes(self) -> int:
        """The number of processes."""

    @abstractmethod
    def config(self, device_type: str) -> Any:
        """Return diffusers' configuration, with a mesh of all processes."""

    def refuse(self, name: str, denoiser: Any) -> None:
        """Raise RecipeError if a denoiser with a plan cannot be split."""

    @override
    def apply(self, pipeline: Any) -> None:
        self._require_processes()
        self.refuse_unsuited(pipeline)
        for name, denoiser in denoisers_of(pipeline).items():
            device_type = next(denoiser.parameters()).device.type
            try:
                with _devices_of(device_type, self.processes):
                    denoiser.enable_parallelism(config=self.config(device_type))
            except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
                msg = f"{self} cannot be applied to {name}: {error}"
                raise RecipeError(msg) from error

    def refuse_unsuited(self, pipeline: Any) -> None:
        """Raise RecipeError if a denoiser cannot be split; what diffusers finds out itself is not asked here."""
        for name, denoiser in denoisers_of(pipeline).items():
            if getattr(denoiser, self.plan, None) is None:
                kind = type(denoiser).__name__
                msg = f"{self.name} needs diffusers' plan of how to split {name} ({self.plan}), and {kind} has none"
                raise RecipeError(msg)
            self.refuse(name, denoiser)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        names = denoiser_names(pipeline)
        seen = [one for one in work_of(call, [OperationKind.COLLECTIVE]) if component_of(one.module) in names]
        sums = summed(seen, call)
        passed = summed(seen, call, lambda one: int(one.moved_bytes))["per_step"].values()
        per_step = tuple(map(sum, zip(*passed, strict=True)))
        idle = sorted(set(names) - set(sums["per_module"])) if seen else []
        lacking = (*(f"{name} ran none" for name in idle), *empty_steps(sums, call))
        return self.acted("collectives", **sums, bytes_per_step=per_step, lacking=lacking)

    def _require_processes(self) -> None:
        is_ready = distributed.is_available() and distributed.is_initialized()
        size = distributed.get_world_size() if is_ready else 0
        if size != self.processes:
            msg = (
                f"{self} needs a process group of {self.processes} processes, got: {size or 'none'}; let "
                "assert_same_images_in_parallel start them, or start them with torchrun and call "
                "torch.distributed.init_process_group() before"
            )
            raise RecipeError(msg)


@dataclass(frozen=True, kw_only=True)
class ContextParallel(Parallelism):
    """`denoiser.enable_parallelism(config=ContextParallelConfig(...))`: each process has a part of the tokens.

    Attributes:
        ulysses: processes that exchange tokens for heads before attention, and back after it.
        ring: processes that gather all keys and values, and merge the results by their log-sum-exp.
        anything: also split numbers of tokens or heads that the number of processes does not divide.
    """

    name: ClassVar[str] = "context_parallel"
    plan: ClassVar[str] = "_cp_plan"
    conflicts: ClassVar[dict[str, str]] = {
        "first_block_cache": _OWN_DECISION,
        "sea_cache": _OWN_DECISION,
        "cache_dit": _OWN_DECISION,
        "tensor_parallel": _ONE_KIND,
    }

    ulysses: int = 1
    ring: int = 1
    anything: bool = False

    def __post_init__(self) -> None:
        """Refuse degrees that split nothing, before a pipeline is built."""
        if min(self.ulysses, self.ring) < 1 or self.processes == 1:
            got = f"ulysses={self.ulysses}, ring={self.ring}"
            msg = f"context_parallel must split the tokens over at least 2 processes, got: {got}; write ulysses=2"
            raise RecipeError(msg)
        if self.anything and min(self.ulysses, self.ring) > 1:
            msg = f"context_parallel(anything=True) takes ulysses or ring, got both: {self}"
            raise RecipeError(msg)

    @property
    @override
    def processes(self) -> int:
        return self.ulysses * self.ring

    @override
    def why_unavailable(self, device: torch.device) -> str:
        if self.ring == 1 or device.type != "cpu":
            return ""
        return "needs a GPU for ring: no attention kernel that diffusers uses on the CPU returns the log-sum-exp"

    @override
    def refuse(self, name: str, denoiser: Any) -> None:
        heads = getattr(denoiser.config, "num_attention_heads", None)
        if not self.anything and isinstance(heads, int) and heads % self.ulysses:
            msg = (
                f"context_parallel(ulysses={self.ulysses}) must divide the attention heads of {name}, got: {heads}; "
                "choose a divisor, or anything=True"
            )
            raise RecipeError(msg)
        if self.ring > 1 and uses_native_backend(denoiser):
            msg = (
                f"context_parallel(ring={self.ring}) needs an attention backend that returns the log-sum-exp, got: "
                f'native in {name}; write attention_backend(backend="_native_cudnn") before it'
            )
            raise RecipeError(msg)

    @override
    def config(self, device_type: str) -> Any:
        names = [f"{kind}_anything" for kind in ("ulysses", "ring") if self.anything and getattr(self, kind) > 1]
        return _config_class("ContextParallelConfig")(
            ulysses_degree=self.ulysses,
            ring_degree=self.ring,
            mesh=_mesh(device_type, {"ring": self.ring, "ulysses": self.ulysses}),
            **dict.fromkeys(names, True),
        )

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return self._length_explained()

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        missing, right, total = [], 0, 0
        for name, denoiser in denoisers_of(pipeline).items():
            config, (exchanging, layers) = context_config(denoiser), exchanging_layers(denoiser)
            right, total = right + exchanging, total + layers
            degrees = (config.ulysses_degree, config.ring_degree) if config else None
            if degrees is None:
                missing.append(f"the tokens of {name} are not split")
            elif degrees != (self.ulysses, self.ring):
                missing.append(f"the tokens of {name} are split by ulysses={degrees[0]}, ring={degrees[1]}")
            if config and exchanging != layers:
                alone = f"{layers - exchanging} of {layers} attention layers of {name}"
                missing.append(f"{alone} see the tokens of their own process only")
        return self.state(f"{right} of {total} attention layers exchange tokens", missing)

    @contextmanager
    def _length_explained(self) -> Iterator[None]:
        """Raise a RecipeError for diffusers' assertion about a number of tokens, which does not name the recipe."""
        try:
            yield
        except AssertionError as error:
            if _NOT_DIVISIBLE not in str(error):
                raise
            msg = (
                f"{self} must divide the number of tokens that the call gives to the denoiser: choose another size or "
                "length, or anything=True"
            )
            raise RecipeError(msg) from error


@dataclass(frozen=True, kw_only=True)
class TensorParallel(Parallelism):
    """`denoiser.enable_parallelism(config=TensorParallelConfig(...))`: each process has a part of the weights.

    Attributes:
        degree: the number of processes.
    """

    name: ClassVar[str] = "tensor_parallel"
    plan: ClassVar[str] = "_tp_plan"
    conflicts: ClassVar[dict[str, str]] = {
        "fuse_qkv": "diffusers splits Q, K and V, and not the fused layer",
        **dict.fromkeys(("int8_dynamic", "int8_weight_only", "int4_weight_only", "fp8_dynamic"), _PACKED),
        "quantized_on_load": _PACKED,
        **dict.fromkeys(("model_offload", "sequential_offload", "group_offload"), _PLACED),
    }

    degree: int = 2

    def __post_init__(self) -> None:
        """Refuse a degree that splits nothing, before a pipeline is built."""
        if self.degree < 2:  # noqa: PLR2004 - one process is no parallelism
            msg = f"tensor_parallel(degree=...) must be at least 2, got: {self.degree}"
            raise RecipeError(msg)

    @property
    @override
    def processes(self) -> int:
        return self.degree

    @override
    def config(self, device_type: str) -> Any:
        mesh = _mesh(device_type, {"tp": self.degree})
        return _config_class("TensorParallelConfig")(tp_degree=self.degree, mesh=mesh)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        missing, right, total = [], 0, 0
        for name, denoiser in denoisers_of(pipeline).items():
            split, whole = planned_layers(denoiser, self.degree)
            right, total = right + len(split), total + len(split) + len(whole)
            if whole or not split:
                missing.append(f"{len(whole)} of {len(split) + len(whole)} planned layers of {name} have all weights")
        return self.state(f"{right} of {total} planned layers are split over {self.degree} processes", missing)


def _config_class(name: str) -> Any:
    """Return a class of diffusers; an older release, which lacks it, raises AttributeError with its name."""
    return getattr(import_module("diffusers.models._modeling_parallel"), name)


def _mesh(device_type: str, sizes: dict[str, int]) -> Any:
    """Return a mesh on the pipeline's device; diffusers' own is on torch's accelerator, whichever that is."""
    return init_device_mesh(device_type, tuple(sizes.values()), mesh_dim_names=tuple(sizes))


@contextmanager
def _devices_of(device_type: str, processes: int) -> Iterator[None]:
    """On the CPU, let diffusers place processes as it does on GPUs, and split weights as it does there."""
    if device_type != "cpu":
        yield
        return
    with a_device_for_each_process(processes), _cpu_named():
        yield


def _cpu_named() -> AbstractContextManager[None]:
    """Add the CPU to the devices on which diffusers splits weights; torch's DTensor runs on any of them."""
    try:
        module: Any = import_module("diffusers.hooks.tensor_parallel")
    except ModuleNotFoundError:  # an older release, without tensor parallelism
        return nullcontext()
    return replaced(module, "_SUPPORTED_TP_DEVICES", lambda known: (*known, "cpu"))
