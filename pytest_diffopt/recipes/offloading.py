"""Offload: weights stay on the host and are on the GPU only while they are used."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.host_memory import give_host_memory
from pytest_diffopt.recipes.effect_reading import summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OperationKind, OptimizationEffect, OptimizationState

_ONE_OFFLOAD = "a module is moved by one kind of hook"
_GROUP_HOOK = "group_offloading"
_HOST = torch.device("cpu")
_ACCELERATE = "/accelerate/"
_NEEDS_A_GPU = (
    "sequential_offload cannot run where the host and the device are both the CPU: accelerate's hooks raise a "
    "TypeError there; call the pipeline on a GPU, or let assert_optimizations_effective, assert_no_syncs or "
    "count_baseline call it on the simulated GPU"
)


@dataclass(frozen=True, kw_only=True)
class _Offload(Optimization):
    """Weights on the host; the figure is what was never on the GPU at the same time."""

    stage: ClassVar[Stage] = Stage.OFFLOAD
    acts_on_device_memory: ClassVar[bool] = True

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        figure = "of weights were off the GPU at each moment"
        if not call.residency:
            return self.unseen("on the CPU nothing is moved", figure)
        moved = summed(work_of(call, [OperationKind.COPY]), call, lambda one: int(one.moved_bytes))
        saved = sum(one.total_bytes for one in call.residency) - call.most_resident_bytes
        # A component that is alone on the GPU whenever it is there was moved as a whole.
        stayed = [one.component for one in call.residency if one.total_bytes and one.least_bytes == one.total_bytes]
        return self.acted(
            figure,
            saved,
            unit="bytes",
            per_step=moved["per_step"],
            lacking=tuple(f"{name} never left the GPU" for name in stayed if name in self._parts(pipeline)),
        )

    def _parts(self, pipeline: Any) -> Mapping[str, torch.nn.Module]:
        """Return the components that are to leave the GPU."""
        return modules_of(pipeline)

    def _state_of(self, hooked: Mapping[str, bool]) -> OptimizationState:
        without = [name for name, is_hooked in hooked.items() if not is_hooked]
        missing = [f"{name} has no hook that moves it" for name in without]
        return self.state(
            f"{len(hooked) - len(without)} of {len(hooked)} components have hooks that move them", missing
        )


@dataclass(frozen=True, kw_only=True)
class ModelOffload(_Offload):
    """`enable_model_cpu_offload()`: one component at a time is on the GPU."""

    name: ClassVar[str] = "model_offload"
    conflicts: ClassVar[dict[str, str]] = {"sequential_offload": _ONE_OFFLOAD, "group_offload": _ONE_OFFLOAD}

    @override
    def apply(self, pipeline: Any) -> None:
        if getattr(pipeline, "model_cpu_offload_seq", None) is None:
            msg = f"model_offload needs model_cpu_offload_seq, and {type(pipeline).__name__} has none"
            raise RecipeError(msg)
        give_host_memory(pipeline)
        pipeline.enable_model_cpu_offload(device=_device_of(pipeline))

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        return self._state_of({name: hasattr(part, "_hf_hook") for name, part in self._parts(pipeline).items()})

    @override
    def _parts(self, pipeline: Any) -> Mapping[str, torch.nn.Module]:
        excluded = getattr(pipeline, "_exclude_from_cpu_offload", [])
        return {name: part for name, part in modules_of(pipeline).items() if name not in excluded}


@dataclass(frozen=True, kw_only=True)
class SequentialOffload(_Offload):
    """`enable_sequential_cpu_offload()`: one layer at a time is on the GPU; the least memory, and the slowest."""

    name: ClassVar[str] = "sequential_offload"
    conflicts: ClassVar[dict[str, str]] = {"group_offload": _ONE_OFFLOAD}

    @override
    def apply(self, pipeline: Any) -> None:
        if not callable(getattr(pipeline, "enable_sequential_cpu_offload", None)):
            msg = f"sequential_offload needs enable_sequential_cpu_offload(), and {type(pipeline).__name__} has none"
            raise RecipeError(msg)
        give_host_memory(pipeline)
        pipeline.enable_sequential_cpu_offload(device=_device_of(pipeline))

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return _failures_on_cpu_explained()

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        hooked = {
            name: any(parameter.is_meta for parameter in part.parameters())
            for name, part in self._parts(pipeline).items()
        }
        return self._state_of(hooked)

    @override
    def _parts(self, pipeline: Any) -> Mapping[str, torch.nn.Module]:
        excluded = getattr(pipeline, "_exclude_from_cpu_offload", [])
        return {name: part for name, part in modules_of(pipeline).items() if name not in excluded}


@dataclass(frozen=True, kw_only=True)
class GroupOffload(_Offload):
    """`enable_group_offload(...)`: groups of blocks, or single layers, are on the GPU.

    Attributes:
        type: `block`, groups of consecutive blocks; or `leaf`, single layers.
        blocks: the number of blocks in a group, for `type="block"`.
        stream: copy the next group on a second stream while the present one computes; needs a GPU.
    """

    name: ClassVar[str] = "group_offload"

    type: Literal["block", "leaf"] = "block"
    blocks: int = 1
    stream: bool = False

    def __post_init__(self) -> None:
        """Refuse a group without blocks, before a pipeline is built."""
        if self.blocks < 1:
            msg = f"group_offload(blocks=...) must be at least 1, got: {self.blocks}"
            raise RecipeError(msg)
        if self.type == "leaf" and self.blocks != 1:
            msg = f"group_offload(blocks=...) applies to blocks, and type is 'leaf', got: {self.blocks}"
            raise RecipeError(msg)

    @override
    def why_unavailable(self, device: torch.device) -> str:
        return "needs a GPU for stream=True" if self.stream and device.type == "cpu" else ""

    @override
    def apply(self, pipeline: Any) -> None:
        if not callable(getattr(pipeline, "enable_group_offload", None)):
            msg = f"group_offload needs enable_group_offload(), and {type(pipeline).__name__} has none"
            raise RecipeError(msg)
        give_host_memory(pipeline)
        try:
            pipeline.enable_group_offload(
                onload_device=_device_of(pipeline),
                offload_device=_HOST,
                offload_type=f"{self.type}_level",
                num_blocks_per_group=self.blocks if self.type == "block" else None,
                use_stream=self.stream,
            )
        except ValueError as error:
            msg = f"{self} cannot be applied to {type(pipeline).__name__}: {error}"
            raise RecipeError(msg) from error

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        return self._state_of({name: _has_group_hooks(part) for name, part in self._parts(pipeline).items()})


@contextmanager
def _failures_on_cpu_explained() -> Iterator[None]:
    """Raise a RecipeError for the TypeError of accelerate's hooks whose two devices are both the CPU."""
    try:
        yield
    except TypeError as error:
        if _ACCELERATE not in traceback.extract_tb(error.__traceback__)[-1].filename.replace("\\", "/"):
            raise
        raise RecipeError(_NEEDS_A_GPU) from error


def _has_group_hooks(module: torch.nn.Module) -> bool:
    registries = (vars(part).get("_diffusers_hook") for part in module.modules())
    return any(_GROUP_HOOK in getattr(registry, "hooks", {}) for registry in registries)


def _device_of(pipeline: Any) -> torch.device:
    """Return the device on which an offloaded pipeline computes: the GPU, where there is one."""
    device: torch.device = pipeline.device
    return torch.device("cuda") if device.type == "cuda" else device
