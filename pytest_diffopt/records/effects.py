"""What each optimization did in one call, and the observations of that call from which it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_diffopt.records.subject import Subject

#: The context of a call outside of `cache_context`.
NO_CONTEXT = ""
#: The figure of a step cache.
TAKEN_FROM_CACHE = "calls of blocks or layers that were taken from the cache"


class OperationKind(StrEnum):
    """The operations in which a pipeline spends its time, and what moves data between devices or processes."""

    MATMUL = "matrix product"
    CONVOLUTION = "convolution"
    ATTENTION = "attention"
    SOFTMAX = "softmax"
    COPY = "copy between devices"
    COLLECTIVE = "collective of several processes"


class Layout(StrEnum):
    """The memory layout in which a convolution is computed: that of its weight and output."""

    NHWC = "channels_last"
    NCHW = "contiguous"
    EITHER = "either"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operations:
    """Equal operations of one module in one denoise step.

    Attributes:
        kind: the kind.
        name: torch's name of the operation, which contains the kernel of an attention call.
        module: the innermost module that ran them, by its path; empty outside of modules.
        step: the denoise step, from 0; None outside of the loop.
        context: the name of the pipeline's `cache_context`; empty outside of one.
        dtype: the dtype of the first tensor, without `torch.`.
        layout: the layout of a convolution.
        is_masked: whether an attention operation was given a mask.
        precision: torch's precision of float32 matrix products on CUDA ("highest", "high", "medium"); else empty.
        count: how many there were.
        moved_bytes: bytes of the copies to the pipeline's device, or of the tensors that this process passed to a
            collective.
    """

    kind: OperationKind
    name: str
    module: str
    step: int | None
    context: str = NO_CONTEXT
    dtype: str = ""
    layout: Layout = Layout.EITHER
    is_masked: bool = False
    precision: str = ""
    count: int = 1
    moved_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleCalls:
    """The calls of one module in one denoise step.

    Attributes:
        module: the path, which starts with the component: `unet.mid_block`.
        kind: the name of its class.
        step: the denoise step, from 0; None outside of the loop.
        context: the name of the pipeline's `cache_context`; empty outside of one.
        stored_dtype: the dtype of its own weight when it was called, without `torch.`; empty if it has none.
        count: how many there were.
        skipped: calls in which a module with weights ran no matrix product, convolution or attention.
        zero_outputs: calls whose output was zero everywhere; counted for the layers of adapters only.
    """

    module: str
    kind: str
    step: int | None
    context: str = NO_CONTEXT
    stored_dtype: str = ""
    count: int = 1
    skipped: int = 0
    zero_outputs: int = 0

    @property
    def component(self) -> str:
        """The component of the pipeline to which the module belongs."""
        return self.module.partition(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledCalls:
    """The calls of one compiled module or method in one denoise step.

    Attributes:
        part: its path: `unet`, `vae.decode`.
        step: the denoise step, from 0; None outside of the loop.
        count: how many there were.
        graphs: the compiled graphs that they ran.
        eager: calls that ran no compiled graph.
    """

    part: str
    step: int | None
    count: int
    graphs: int
    eager: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerCalls:
    """What the pipeline asked of its scheduler.

    Attributes:
        kind: the name of its class.
        steps: calls of `step`.
        lookups: searches for a timestep in the schedule, each of which synchronizes on a GPU.
        begin_index: the begin index at the first step; None without one.
    """

    kind: str
    steps: int = 0
    lookups: int = 0
    begin_index: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendCalls:
    """Calls of one backend of diffusers' attention dispatcher in one denoise step.

    Attributes:
        backend: diffusers' name of the backend.
        module: the module that called it.
        step: the denoise step, from 0; None outside of the loop.
        count: how many there were.
        masked: those with a mask.
        ignored_masks: those of them whose result a mask does not change.
    """

    backend: str
    module: str
    step: int | None
    count: int = 1
    masked: int = 0
    ignored_masks: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeCalls:
    """Calls of a VAE's inner decoder or encoder with one size.

    Attributes:
        component: the VAE.
        method: `decode` or `encode`.
        whole: the shape with which the method was called.
        piece: the shape with which the inner module was called.
        count: how often.
    """

    component: str
    method: str
    whole: tuple[int, ...]
    piece: tuple[int, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Residency:
    """How much of a component is on the pipeline's device while another part of the pipeline runs.

    Attributes:
        component: the component.
        total_bytes: its parameters and buffers.
        most_bytes: the largest part of them that was on the device at one moment.
        least_bytes: the smallest part.
    """

    component: str
    total_bytes: int
    most_bytes: int
    least_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CallEvidence:
    """Everything that was observed in one call.

    Attributes:
        device: the type of the device on which the pipeline computed: `cpu`, `cuda`, `simulated GPU`.
        num_steps: finished denoise steps; 0 for a target without a loop.
        operations: matrix products, convolutions, attention, softmax, copies and collectives, outside of compiled code.
        modules: calls of modules.
        compiled: calls of compiled parts, in a call of their own; empty if nothing is compiled.
        scheduler: what the scheduler did; None for a target without one.
        backends: calls of the attention dispatcher.
        vaes: the pieces in which VAEs decoded and encoded.
        residency: what was on the device; empty if the pipeline never leaves the CPU.
        most_resident_bytes: the most bytes of all components that were on the device at one moment.
    """

    device: str
    num_steps: int
    operations: tuple[Operations, ...] = ()
    modules: tuple[ModuleCalls, ...] = ()
    compiled: tuple[CompiledCalls, ...] = ()
    scheduler: SchedulerCalls | None = None
    backends: tuple[BackendCalls, ...] = ()
    vaes: tuple[VaeCalls, ...] = ()
    residency: tuple[Residency, ...] = ()
    most_resident_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationEffect:
    """What one optimization did in a call.

    Attributes:
        name: the optimization as written in the recipe.
        figure: what was counted: "attention calls of a fused kernel".
        value: the count; 0 is no effect.
        unit: the unit of the value for figures that are not counts: `bytes`; else empty.
        per_step: the count of each denoise step, by the name of the cache context.
        per_module: the count of each component.
        bytes_per_step: bytes that this process passed to collectives in each denoise step; empty for other figures.
        lacking: parts of the pipeline in which it had no effect, one line each.
        unseen: why this device or call cannot show the effect; empty if it can.
    """

    name: str
    figure: str
    value: int = 0
    unit: str = ""
    per_step: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    per_module: Mapping[str, int] = field(default_factory=dict)
    bytes_per_step: tuple[int, ...] = ()
    lacking: tuple[str, ...] = ()
    unseen: str = ""

    @property
    def has_none(self) -> bool:
        """Whether the optimization could be seen, and did nothing or left out a part."""
        return not self.unseen and (not self.value or bool(self.lacking))


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectRecord:
    """What every optimization of a recipe did in one call.

    Attributes:
        subject: what was called.
        num_steps: denoise steps of the call.
        operations: matrix products, convolutions and attention operations that were seen: the evidence that the call
            was watched.
        seen_by: name of the instrument, for messages.
        effects: the effect of each optimization.
    """

    subject: Subject
    num_steps: int
    operations: int
    seen_by: str
    effects: tuple[OptimizationEffect, ...]
