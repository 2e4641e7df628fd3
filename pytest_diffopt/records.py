"""What the probes saw: frozen, raw figures with units in their names, no opinion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_diffopt.code_location import CodeLocation


class Concern(StrEnum):
    """What can regress; probes, guards, tests and pages are named for it."""

    APPLIED = "applied"
    GRAPH_BREAKS = "graph breaks"
    RECOMPILES = "recompiles"
    SYNCS = "syncs"
    IMAGES = "images"
    REPEATABILITY = "repeatability"
    COUNTS = "counts"
    LATENCY = "latency"
    MEMORY = "memory"


class Device(StrEnum):
    """Where a pipeline ran while it was watched."""

    CUDA = "cuda"
    SIMULATED = "simulated"
    CPU = "cpu"


class Weights(StrEnum):
    """Where the parameters come from; `RANDOM` draws noise, whatever the architecture."""

    PRETRAINED = "pretrained"
    RANDOM = "random"
    OWN = "the user's own"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What was watched.

    Attributes:
        pipeline: its name (`sdxl`), or the class of a pipeline that the user built.
        scale: `tiny`, `full`, or empty for a pipeline that the user built.
        recipe: the canonical text of its recipe; empty when nobody said.
        weights: where its parameters come from.
        device: where it ran.
    """

    pipeline: str
    scale: str = ""
    recipe: str = ""
    weights: Weights = Weights.OWN
    device: Device = Device.CPU

    def __str__(self) -> str:
        """Read as `pipeline sdxl (tiny, weights: random), recipe bf16 + sdpa`."""
        details = ", ".join(filter(None, [self.scale, f"weights: {self.weights}"]))
        recipe = f", recipe {self.recipe}" if self.recipe else ""
        return f"pipeline {self.pipeline} ({details}){recipe}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationState:
    """What is left of one optimization in the living pipeline.

    Attributes:
        name: the optimization as the recipe writes it.
        found: what was found, in one line ("4 of 4 convolutions of unet are channels_last").
        missing: what should be there and is not, a line each; empty when the optimization is fully applied.
    """

    name: str
    found: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRecord:
    """Every optimization of a recipe, as the pipeline shows it."""

    subject: Subject
    optimizations: tuple[OptimizationState, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledFrame:
    """One compilation of one Python frame.

    Attributes:
        where: the first line of the function that was compiled.
        compile_id: Dynamo's own id of this compilation, `frame/attempt`.
        operations: how many operations its graph holds; 0 when nothing was captured.
        guards: how many guards protect it.
        is_compiled: False when Dynamo gave the frame up and left it to Python.
        recompile_reason: the guard that failed, when the same frame was compiled before; empty otherwise.
        compile_ns: time that compilation took.
    """

    where: CodeLocation
    compile_id: str
    operations: int
    guards: int
    is_compiled: bool
    recompile_reason: str
    compile_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphBreak:
    """One place where Dynamo left the graph.

    Attributes:
        where: the innermost line of the user's code.
        reason: Dynamo's reason, its first line.
        hints: what Dynamo advises, a line each.
    """

    where: CodeLocation
    reason: str
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CompilationRecord:
    """What was compiled between two moments of a pipeline's life.

    Attributes:
        frames: every frame that was compiled or given up.
        breaks: each place where Dynamo left the graph.
        ended_by_fullgraph: `fullgraph=True` turned the last break into an error, so the call ended there.
    """

    subject: Subject
    frames: tuple[CompiledFrame, ...]
    breaks: tuple[GraphBreak, ...]
    ended_by_fullgraph: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class VariationRecompiles:
    """What one varied call compiled after warm-up.

    Attributes:
        variation: how the call differed ("guidance_scale=7.5").
        frames: the frames that it compiled.
    """

    variation: str
    frames: tuple[CompiledFrame, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecompileRecord:
    """What was compiled at warm-up, and by each varied call after it."""

    subject: Subject
    warmup_frames: tuple[CompiledFrame, ...]
    variations: tuple[VariationRecompiles, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedSync:
    """One time that the CPU waited for the GPU inside the denoise loop.

    Attributes:
        kind: `read by the host`, `copy from the host`, `copy to the host` or `explicit wait`.
        operation: what was called, as a person would write it (`.item()`).
        where: the innermost line of the user's code.
        step: the denoise step, from 0.
    """

    kind: str
    operation: str
    where: CodeLocation
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncRecord:
    """Every wait inside the denoise loop.

    Attributes:
        num_steps: how many steps the loop took.
        seen_by: the instrument, as a person would name it ("the simulated GPU").
        unmodelled: operations about which the instrument knows nothing.
        invented: lines that read a value which the instrument did not have; what they decided may be wrong.
    """

    subject: Subject
    num_steps: int
    syncs: tuple[ObservedSync, ...]
    seen_by: str
    unmodelled: tuple[str, ...] = ()
    invented: tuple[CodeLocation, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDifference:
    """How far one picture is from its reference; pixel values are in [0, 1].

    Attributes:
        ssim: structural similarity as published (Wang et al. 2004), 1 for equal pictures.
        psnr_db: peak signal-to-noise ratio in decibels; infinite for equal pictures.
        max_error: the largest absolute difference of any pixel.
        mean_error: the mean absolute difference.
        defects: what is wrong with the picture itself ("is constant", "holds 12 NaN"); empty for a healthy one.
    """

    ssim: float
    psnr_db: float
    max_error: float
    mean_error: float
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """A batch of pictures beside its references, in order."""

    subject: Subject
    differences: tuple[ImageDifference, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatabilityRecord:
    """The same call, made twice.

    Attributes:
        differing_values: how many values of the output differ in any bit.
        values: how many values the output has.
        max_error: the largest absolute difference.
    """

    subject: Subject
    differing_values: int
    values: int
    max_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyRecord:
    """How long a call took, again and again, the device waited for before and after each.

    Attributes:
        warmup_ns: the calls before the counted ones, the first of them (compilation and all) first.
        samples_ns: the counted calls.
        num_steps: denoise steps in one call; 0 when it has no denoise loop.
        is_warm: False when the time for it ended while the calls were still getting faster.
    """

    subject: Subject
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    num_steps: int = 0
    is_warm: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioRecord:
    """Two callables timed in turn in one process.

    Attributes:
        reference: what the subject is compared with.
        subject_ns: samples of the subject, one a round.
        reference_ns: samples of the reference, one a round, in the same order.
    """

    subject: Subject
    reference: Subject
    subject_ns: tuple[int, ...]
    reference_ns: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRecord:
    """The most memory that one warm call held on the device.

    Attributes:
        peak_allocated_bytes: by tensors.
        peak_reserved_bytes: by the caching allocator; 0 where there is no such allocator (the simulated GPU).
        seen_by: the instrument, as a person would name it.
    """

    subject: Subject
    peak_allocated_bytes: int
    peak_reserved_bytes: int
    seen_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseCounts:
    """What one phase of a call does on a GPU; every figure is exact and repeatable.

    Attributes:
        phase: `before the loop`, `step 0`, `steps 1-29` (each of them alike), `after the loop`.
        flops: floating-point operations of matrix products, convolutions and attention; a multiply-add is two.
        operations: operations that launch work on the GPU.
        bytes_to_device: bytes copied over the bus to the GPU.
        bytes_to_host: bytes copied over the bus to the host.
        allocated_bytes: sum of all allocations, each rounded as CUDA's caching allocator rounds it.
        peak_memory_bytes: most bytes that were allocated at one moment, weights included.
    """

    phase: str
    flops: int
    operations: int
    bytes_to_device: int
    bytes_to_host: int
    allocated_bytes: int
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleCounts:
    """What one part of the pipeline does in a whole call, with everything inside it.

    Attributes:
        module: its path, as deep as people name it (`unet.down_blocks.1`); `outside modules` for what is in none.
        flops: as in `PhaseCounts`.
        operations: as in `PhaseCounts`.
    """

    module: str
    flops: int
    operations: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CountRecord:
    """Everything that can be counted of one call, on the simulated GPU.

    Attributes:
        card: the simulated card (`nvidia-h200`).
        num_steps: denoise steps.
        phases: the figures of each phase, in order; equal steps stand together.
        modules: the figures of each part.
        attention: how often each attention kernel would run, as `flash 2x10x4096x64 bfloat16`.
        unmodelled: operations that the simulated GPU knows nothing about.
    """

    subject: Subject
    card: str
    num_steps: int
    phases: tuple[PhaseCounts, ...]
    modules: tuple[ModuleCounts, ...]
    attention: Mapping[str, int]
    unmodelled: tuple[str, ...] = ()


Record = (
    AppliedRecord
    | CountRecord
    | CompilationRecord
    | RecompileRecord
    | SyncRecord
    | ImageRecord
    | RepeatabilityRecord
    | LatencyRecord
    | RatioRecord
    | MemoryRecord
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The machine and the versions that a record was taken with.

    Attributes:
        device_slug: the folder of its baselines (`nvidia-h200`).
        device_name: what the device calls itself.
        versions: distribution name to version.
    """

    device_slug: str
    device_name: str
    versions: Mapping[str, str] = field(default_factory=dict)
