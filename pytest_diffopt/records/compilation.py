"""Compilations by `torch.compile`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation
from pytest_diffopt.records.generated_code import GeneratedCode
from pytest_diffopt.records.subject import Subject


class CacheResult(StrEnum):
    """Result of looking a compilation up in the caches of Inductor and AOTAutograd."""

    NOT_USED = "not used"
    HIT = "hit"
    MISS = "miss"


class GuardKind(StrEnum):
    """Property of a guard's source that the guard checks."""

    VALUE = "value"
    TYPE = "type"
    OBJECT = "object"
    SHAPE = "shape"
    DTYPE = "dtype"
    GLOBAL_STATE = "global state"
    OTHER = "other"


class BreakKind(StrEnum):
    """How a line prevents a single graph.

    `LEFT_THE_GRAPH`: a graph break. `GAVE_UP_THE_FUNCTION`: Dynamo runs the whole function eagerly.
    `READ_IN_THE_GRAPH`: the graph reads a tensor's value, which synchronizes without a graph break.
    """

    LEFT_THE_GRAPH = "left the graph"
    GAVE_UP_THE_FUNCTION = "gave up the function"
    READ_IN_THE_GRAPH = "read in the graph"


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedGuard:
    """The failed guard that caused a recompile.

    Attributes:
        kind: checked property.
        source: guarded expression, as in the user's code (`timestep`); empty when torch gives none.
        old: value at compilation (`int 981`); empty when torch does not report it.
        new: present value; empty when unknown.
        where: innermost line of the user's code that installed the guard.
        text: torch's message, in one line.
    """

    kind: GuardKind
    source: str
    old: str
    new: str
    text: str
    where: CodeLocation = UNKNOWN_LOCATION


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledFrame:
    """One compilation of one Python frame.

    Attributes:
        region: the function as written (`UNet2DConditionModel.forward`), also for its continuation after a graph break.
        where: first line of that function.
        compile_id: Dynamo's id of this compilation, `frame/attempt`.
        operations: operators in its graph; 0 when none was captured.
        guards: guards on its graph.
        is_compiled: False when Dynamo skipped the frame, so that its operators run eagerly.
        is_resumed: whether the frame is a continuation after a graph break.
        hit_limit: whether Dynamo reached its recompile limit and will not compile this function again.
        failed_guard: cause of a recompile; None for a first compilation.
        compile_ns: time spent on compilation.
        cache: result of the compile cache lookups.
        cuda_graphs_skipped: why Inductor skipped CUDA graphs; empty when it uses them or was not asked to.
        generated_kernels: kernels that Inductor generated.
        external_calls: calls of libraries and of torch's own kernels in the generated code.
        graph_partitions: parts into which Inductor divided the code for CUDA graphs; 0 for undivided code.
        code: what Inductor generated for a GPU; empty for other backends and for the CPU.
        is_after_reset: whether a reset of Dynamo had discarded the function's code since it was compiled before.
        argument_shapes: the shapes of the tensors among the function's arguments, by the parameter's name.
    """

    region: str
    where: CodeLocation
    compile_id: str
    operations: int
    guards: int
    is_compiled: bool
    compile_ns: int
    is_resumed: bool = False
    hit_limit: bool = False
    failed_guard: FailedGuard | None = None
    cache: CacheResult = CacheResult.NOT_USED
    cuda_graphs_skipped: str = ""
    generated_kernels: int = 0
    external_calls: int = 0
    graph_partitions: int = 0
    code: GeneratedCode = field(default_factory=GeneratedCode)
    is_after_reset: bool = False
    argument_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphBreak:
    """One line that prevents a single graph.

    Attributes:
        where: innermost line of the user's code.
        reason: first line of Dynamo's reason.
        region: the function that was being compiled, as in `CompiledFrame`.
        kind: how the line prevents a single graph.
        code: Dynamo's number for this type of break (`GB0059`); empty when torch gives none.
        hints: Dynamo's hints, one line each.
    """

    where: CodeLocation
    reason: str
    region: str = ""
    kind: BreakKind = BreakKind.LEFT_THE_GRAPH
    code: str = ""
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledModule:
    """All compiled modules of one class in one component of a pipeline.

    Attributes:
        name: the component, with the class of the compiled submodules (`unet`, `unet BasicBlock`, `vae.decode`).
        region: the compiled function.
        instances: number of modules that share it.
        has_run: whether its compiled code was called.
    """

    name: str
    region: str
    instances: int
    has_run: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CompilationRecord:
    """Compilations between two points of a pipeline's lifetime.

    Attributes:
        frames: every frame that was compiled or skipped.
        breaks: each line that prevents a single graph.
        modules: compiled modules of the pipeline.
        eager_operators: operators that ran between the graphs, counted in one further call; None without a break.
        ended_by_fullgraph: whether `fullgraph=True` turned the last break into an error, which ended the call.
        torch_traceback: traceback of that error; empty otherwise.
        graph_calls: calls of compiled graphs in the call, the evidence that compiled code ran in it; None where they
            were not counted.
    """

    subject: Subject
    frames: tuple[CompiledFrame, ...]
    breaks: tuple[GraphBreak, ...]
    modules: tuple[CompiledModule, ...] = ()
    eager_operators: int | None = None
    ended_by_fullgraph: bool = False
    torch_traceback: str = ""
    graph_calls: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionCounts:
    """Exact compilation counts of one function.

    Attributes:
        region: the function, as in `CompiledFrame`.
        graphs: compiled graphs.
        breaks: lines with a graph break.
        recompiles: recompiles.
        operations: operators in all of its graphs.
        guards: guards on all of its graphs.
        symbolic_sizes: sizes that are no constants in the generated code.
        generated_kernels: kernels that Inductor generated for a GPU; 0 for other backends and for the CPU.
        external_calls: calls in that code of libraries, of torch's own kernels and of custom operations.
        fallbacks: those of them that Inductor has no code for.
        reused_buffers: buffers in that code that take the memory of another one.
    """

    region: str
    graphs: int
    breaks: int
    recompiles: int
    operations: int
    guards: int
    symbolic_sizes: int = 0
    generated_kernels: int = 0
    external_calls: int = 0
    fallbacks: int = 0
    reused_buffers: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileCountRecord:
    """Compilation counts of a pipeline, from before it is built to the end of its first call.

    Attributes:
        regions: the counts of each function.
        graph_calls: calls of compiled graphs in one call of the pipeline, the evidence that what was compiled is used;
            None where they were not counted.
    """

    subject: Subject
    regions: tuple[RegionCounts, ...]
    graph_calls: int | None = None

    @property
    def is_watched(self) -> bool:
        """Whether compiled code ran in the call, as far as is known."""
        return self.graph_calls != 0


@dataclass(frozen=True, kw_only=True, slots=True)
class VariationRecompiles:
    """Compilations of one varied call after warm-up.

    Attributes:
        variation: how the call differs ("guidance_scale=7.5").
        frames: frames that it compiled.
        changes_shape: whether the call changes the input shapes of the models (another resolution or batch size).
        graph_calls: calls of compiled graphs in the call; None where they were not counted.
    """

    variation: str
    frames: tuple[CompiledFrame, ...]
    changes_shape: bool = False
    graph_calls: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RecompileRecord:
    """Compilations at warm-up and by each varied call after it.

    Attributes:
        warmup_frames: frames compiled at warm-up.
        variations: compilations of each varied call.
        is_dynamic: whether `dynamic=True` was used, so that a new shape must not recompile.
        lost: paths of modules that were compiled after warm-up and no longer are.
        breaks: graph breaks that `fullgraph=True` turned into an error, which ended the last call.
        torch_traceback: traceback of that error; empty otherwise.
    """

    subject: Subject
    warmup_frames: tuple[CompiledFrame, ...]
    variations: tuple[VariationRecompiles, ...]
    is_dynamic: bool = False
    lost: tuple[str, ...] = ()
    breaks: tuple[GraphBreak, ...] = ()
    torch_traceback: str = ""
