"""What `torch.compile` did, and how far its results are from eager ones."""

from dataclasses import dataclass
from enum import StrEnum

from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation
from pytest_diffopt.records.subject import Subject


class CacheAnswer(StrEnum):
    """What Inductor's and AOTAutograd's caches said to a compilation."""

    NOT_ASKED = "not asked"
    HIT = "hit"
    MISS = "miss"


class GuardKind(StrEnum):
    """What a guard that failed had assumed of its source."""

    VALUE = "value"
    TYPE = "type"
    OBJECT = "object"
    SHAPE = "shape"
    DTYPE = "dtype"
    GLOBAL_STATE = "global state"
    OTHER = "other"


class BreakKind(StrEnum):
    """How a line keeps the model from being one graph."""

    LEFT_THE_GRAPH = "left the graph"
    GAVE_UP_THE_FUNCTION = "gave up the function"
    READ_IN_THE_GRAPH = "read in the graph"


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedGuard:
    """The assumption that made Dynamo compile a function again.

    Attributes:
        kind: what was assumed.
        source: of what, as the user's code names it (`timestep`); empty where torch names nothing.
        old: what it was when the code was compiled (`int 981`); empty where torch does not tell.
        new: what it is now; empty where that is unknown.
        where: the innermost line of the user's code that needed the assumption.
        text: torch's own words, in one line.
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
        region: the function that a person knows (`UNet2DConditionModel.forward`), also for a part of it after a break.
        where: the first line of that function.
        compile_id: Dynamo's own id of this compilation, `frame/attempt`.
        operations: how many operators its graph holds; 0 when none was captured.
        guards: how many guards protect it.
        is_compiled: False when Dynamo gave the frame up and left its operators to Python.
        is_resumed: it begins after a graph break.
        hit_limit: Dynamo will compile this function no more, because it did so too often.
        failed_guard: why a function was compiled again; None for its first time.
        compile_ns: time that compilation took.
        cache: what the compile caches answered.
        cuda_graphs_skipped: why Inductor uses no CUDA graphs here; empty where it does, or never meant to.
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
    cache: CacheAnswer = CacheAnswer.NOT_ASKED
    cuda_graphs_skipped: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphBreak:
    """One place that keeps the model from being one graph.

    Attributes:
        where: the innermost line of the user's code.
        reason: Dynamo's reason, its first line.
        region: the function that was being compiled, as `CompiledFrame` names it.
        kind: what became of it.
        code: Dynamo's number of this kind of break (`GB0059`); empty where torch gives none.
        hints: what Dynamo advises, a line each.
    """

    where: CodeLocation
    reason: str
    region: str = ""
    kind: BreakKind = BreakKind.LEFT_THE_GRAPH
    code: str = ""
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledModule:
    """Everything of one class that is compiled in one part of a pipeline.

    Attributes:
        name: the part, and the class of what is compiled inside it (`unet`, `unet BasicBlock`, `vae.decode`).
        region: the function that is compiled.
        instances: how many modules share it.
        has_run: its compiled code was called.
    """

    name: str
    region: str
    instances: int
    has_run: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CompilationRecord:
    """What was compiled between two moments of a pipeline's life.

    Attributes:
        frames: every frame that was compiled or given up.
        breaks: each place that keeps the model from being one graph.
        modules: what of the pipeline is compiled.
        eager_operators: how many operators ran between the graphs in one call more; None where no graph broke.
        ended_by_fullgraph: `fullgraph=True` turned the last break into an error, so the call ended there.
        torch_traceback: torch's own account of that error; empty otherwise.
    """

    subject: Subject
    frames: tuple[CompiledFrame, ...]
    breaks: tuple[GraphBreak, ...]
    modules: tuple[CompiledModule, ...] = ()
    eager_operators: int | None = None
    ended_by_fullgraph: bool = False
    torch_traceback: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionCounts:
    """What compiling one function came to, exactly.

    Attributes:
        region: the function, as `CompiledFrame` names it.
        graphs: how many graphs it became.
        breaks: in how many lines it left the graph.
        recompiles: how often it was compiled again.
        operations: how many operators its graphs hold.
        guards: how many guards protect them.
    """

    region: str
    graphs: int
    breaks: int
    recompiles: int
    operations: int
    guards: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileCountRecord:
    """What compiling a pipeline came to, from before it was built to the end of its first call."""

    subject: Subject
    regions: tuple[RegionCounts, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VariationRecompiles:
    """What one varied call compiled after warm-up.

    Attributes:
        variation: how the call differed ("guidance_scale=7.5").
        frames: the frames that it compiled.
        changes_shape: the call gives the models inputs of another shape (another resolution, another batch).
    """

    variation: str
    frames: tuple[CompiledFrame, ...]
    changes_shape: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RecompileRecord:
    """What was compiled at warm-up, and by each varied call after it.

    Attributes:
        is_dynamic: compiled for any shape (`dynamic=True`), so that another shape is no reason to compile.
        lost: what was compiled after warm-up and is not any more.
        breaks: what `fullgraph=True` turned into an error, which ended the last call.
        torch_traceback: torch's own account of that error; empty otherwise.
    """

    subject: Subject
    warmup_frames: tuple[CompiledFrame, ...]
    variations: tuple[VariationRecompiles, ...]
    is_dynamic: bool = False
    lost: tuple[str, ...] = ()
    breaks: tuple[GraphBreak, ...] = ()
    torch_traceback: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputDifference:
    """How far one output of one compiled module is from what the same module gives uncompiled, over all its calls.

    Attributes:
        module: its path in the pipeline (`unet.down_blocks.1`).
        output: which of its outputs (`[0]`, `.sample`); empty for the only one.
        dtype: of the output.
        calls: how often it was compared.
        values: how many values were compared.
        differing_values: how many are further apart than is allowed.
        max_error: the largest absolute difference.
        max_relative_error: the largest absolute difference, by the largest absolute value of the eager output.
        relative_tolerance: how much of the largest absolute value of the eager output a value may be off.
        absolute_tolerance: how much it may be off besides.
        problem: what cannot be compared ("shape (2, 4) became (2, 5)"); empty otherwise.
    """

    module: str
    output: str
    dtype: str
    calls: int
    values: int
    differing_values: int
    max_error: float
    max_relative_error: float
    relative_tolerance: float
    absolute_tolerance: float
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NumericsRecord:
    """Every output of every compiled module beside its eager twin.

    Attributes:
        silent: compiled modules that the call never reached, so that nothing of them was compared.
    """

    subject: Subject
    differences: tuple[OutputDifference, ...]
    silent: tuple[str, ...] = ()
