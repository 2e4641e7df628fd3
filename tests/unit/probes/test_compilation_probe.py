"""Tests of the compile log: compiled frames, graph breaks, recompiles and their reasons."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
import torch._dynamo.convert_frame
from torch import nn

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.probes.compilation import watch_recompiles, watch_warmup
from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.records import (
    BreakKind,
    CacheResult,
    CompilationRecord,
    CompiledFrame,
    GraphBreak,
    GuardKind,
    Subject,
)

SUBJECT = Subject(pipeline="sdxl")
FILE = "tests/unit/probes/test_compilation_probe.py"
X = torch.ones(3)


def clean(x: torch.Tensor) -> torch.Tensor:
    """Compile to one graph of two operations."""
    return torch.relu(x) + 1


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Compile to one graph of one operation."""
    return x * 2


def prints(x: torch.Tensor) -> torch.Tensor:
    """Break the graph at a print."""
    y = x * 2
    print("noise left")  # noqa: T201 - the break that is injected
    return y + 1


def reads(x: torch.Tensor) -> torch.Tensor:
    """Break the graph at a read."""
    return x * x.sum().item()


def branches(x: torch.Tensor) -> torch.Tensor:
    """Break the graph at a branch on data."""
    if x.sum() > 0:
        return x + 1
    return x - 1


def calls_prints(x: torch.Tensor) -> torch.Tensor:
    """Break the graph inside a nested call."""
    return prints(x) * 3


def reads_in_a_loop(x: torch.Tensor) -> torch.Tensor:
    """Break the graph in a loop, where Dynamo cannot resume."""
    for _ in range(2):
        x = x * x.sum().item()
    return x


def calls_reads(x: torch.Tensor) -> torch.dtype:
    """Read a value and return an object that is not a tensor."""
    return torch.tensor(x.sum().item()).dtype


def converts(x: torch.Tensor) -> torch.Tensor:
    """Hold a bound method of a tensor on the stack while a nested call breaks."""
    return torch.relu(x).to(calls_reads(x)) + 1


def loops_twice(x: torch.Tensor) -> torch.Tensor:
    """Call a function that Dynamo skips, twice."""
    y = reads_in_a_loop(x + 1) * 2
    return reads_in_a_loop(y + 1) * 2


def branches_when_asked(x: torch.Tensor, *, flag: bool) -> torch.Tensor:
    """Break the graph at a branch on data in some calls."""
    return branches(x) if flag else x


def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Compile once for each factor."""
    return x * factor


def halved_by(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Divide by a number."""
    return x / factor


def through(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method, as diffusers does with many methods."""

    @functools.wraps(method)
    def wrapper(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return method(self, *args, **kwargs)

    return wrapper


class Decorated(nn.Module):
    """A module whose forward is wrapped."""

    @through
    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        """Scale."""
        return x * scale


class Module(nn.Module):
    """A module that reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read."""
        return reads(x)


def line_of(function: Callable[..., object], source: str) -> int:
    """Return the number of the function's first line that contains this text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if source in line)


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    """Compiled code is attached to functions: remove that of other tests."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def log() -> Iterator[CompileLog]:
    """Open a log during a test."""
    with CompileLog() as opened:
        yield opened


def compiling(log: CompileLog, function: Callable[..., Any], *args: Any, backend: str = "eager") -> CompilationRecord:
    """Compile and call a function; return the record."""
    start = log.mark()
    torch.compile(function, backend=backend)(*args)
    return log.since(start, SUBJECT)


def the_break(record: CompilationRecord) -> GraphBreak:
    """Return the only break."""
    (found,) = record.breaks
    return found


def the_frame(record: CompilationRecord) -> CompiledFrame:
    """Return the only frame."""
    (frame,) = record.frames
    return frame


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_function_that_compiles_to_one_graph_is_one_frame(log: CompileLog, backend: str) -> None:
    """The frame has a location and a size; there is no break and no failed guard."""
    record = compiling(log, clean, X, backend=backend)
    frame = the_frame(record)

    assert record.subject is SUBJECT
    assert record.breaks == ()
    assert (str(frame.where), frame.where.function) == (f"{FILE}:{line_of(clean, 'def clean')}", "clean")
    assert frame.where.source == "def clean(x: torch.Tensor) -> torch.Tensor:"
    assert (frame.region, frame.compile_id, frame.operations, frame.is_compiled) == ("clean", "0/0", 2, True)
    assert (frame.failed_guard, frame.is_resumed, frame.hit_limit, frame.cache) == (
        None,
        False,
        False,
        CacheResult.NOT_USED,
    )
    assert frame.guards > 0
    assert frame.compile_ns > 0


@pytest.mark.parametrize(
    ("function", "source", "reason"),
    [
        (prints, "print(", "Failed to trace builtin operator"),
        (reads, "return x * x.sum().item()", "Unsupported Tensor.item() call with capture_scalar_outputs=False"),
        (branches, "if x.sum() > 0:", "Data-dependent branching"),
        (reads_in_a_loop, "x = x * x.sum().item()", "Unsupported Tensor.item() call with capture_scalar_outputs=False"),
    ],
)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_graph_break_has_its_line_and_reason(
    log: CompileLog, function: Callable[..., Any], source: str, reason: str, backend: str
) -> None:
    """It is recorded once, with the line of the user's code and Dynamo's reason in one line."""
    found = the_break(compiling(log, function, X, backend=backend))

    assert str(found.where) == f"{FILE}:{line_of(function, source)}"
    assert found.where.function == function.__name__
    assert found.where.source.startswith(source)
    assert found.reason == reason
    assert found.code.startswith("GB0")


def test_a_graph_break_has_dynamos_hints(log: CompileLog) -> None:
    """One line each, without the prefix `Hint:`."""
    hints = the_break(compiling(log, reads, X)).hints

    assert len(hints) == 1
    assert hints[0].startswith("Set `torch._dynamo.config.capture_scalar_outputs = True`")


def test_a_break_inside_a_nested_call_points_at_the_inner_line(log: CompileLog) -> None:
    """The break is fixed in the inner line; the calling line is not reported as a second break."""
    found = the_break(compiling(log, calls_prints, X))

    assert str(found.where) == f"{FILE}:{line_of(prints, 'print(')}"
    assert found.where.function == "prints"


def test_a_break_inside_a_module_points_at_the_inner_line(log: CompileLog) -> None:
    """Modules are traced like functions."""
    found = the_break(compiling(log, Module(), X))

    assert str(found.where) == f"{FILE}:{line_of(reads, '.item()')}"


def test_a_function_that_dynamo_skips_is_reported(log: CompileLog) -> None:
    """After a break in a loop the whole function runs eagerly; a break elsewhere splits it."""
    assert the_break(compiling(log, reads_in_a_loop, X)).kind is BreakKind.GAVE_UP_THE_FUNCTION
    assert the_break(compiling(log, reads, X)).kind is BreakKind.LEFT_THE_GRAPH


@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace the builtin:UserWarning")
@pytest.mark.parametrize("function", [converts, loops_twice])
def test_callers_of_a_broken_function_are_not_reported(log: CompileLog, function: Callable[..., Any]) -> None:
    """Dynamo reports each caller of a broken function as a further break."""
    found = the_break(compiling(log, function, X))

    assert found.where.function in {"calls_reads", "reads_in_a_loop"}
    assert found.reason == "Unsupported Tensor.item() call with capture_scalar_outputs=False"


def test_a_read_captured_by_fullgraph_is_reported(log: CompileLog) -> None:
    """There is no graph break, but the read synchronizes."""
    start = log.mark()
    torch.compile(reads, backend="eager", fullgraph=True)(X)
    found = the_break(log.since(start, SUBJECT))

    assert found.kind is BreakKind.READ_IN_THE_GRAPH
    assert str(found.where) == f"{FILE}:{line_of(reads, '.item()')}"
    assert found.reason == "the graph holds .item()"


def test_a_varying_number_is_not_a_read(log: CompileLog) -> None:
    """Dynamo passes it to the graph as a CPU tensor and reads it there: no synchronization."""
    start = log.mark()
    compiled = torch.compile(halved_by, backend="eager")
    for factor in (1.0, 2.0, 3.0):
        compiled(X, factor)

    assert log.since(start, SUBJECT).breaks == ()


def test_a_wrapper_is_named_after_the_wrapped_function(log: CompileLog) -> None:
    """The region is `Decorated.forward`, not the decorator's `wrapper`."""
    start = log.mark()
    torch.compile(Decorated(), backend="eager")(X)
    frame = the_frame(log.since(start, SUBJECT))

    assert frame.region == "Decorated.forward"
    assert str(frame.where) == f"{FILE}:{line_of(Decorated, '@through')}"


def test_two_functions_in_one_decorator_are_not_a_recompile(log: CompileLog) -> None:
    """Dynamo caches compiled code with the shared wrapper, so that the second function fails the first one's guards."""

    class Other(nn.Module):
        """A module of another class, whose forward has another signature."""

        @through
        def forward(self, x: torch.Tensor, factor: torch.Tensor) -> Any:
            """Multiply."""
            return x * factor

    start = log.mark()
    torch.compile(Decorated(), backend="eager")(X)
    other = torch.compile(Other(), backend="eager")
    other(X, factor=X)
    other(X.double(), factor=X)
    torch._dynamo.reset()
    other(X, factor=X)
    torch.compile(Decorated(), backend="eager")(X)
    frames = log.since(start, SUBJECT).frames

    assert [frame.failed_guard is not None for frame in frames] == [False, False, True, False, False]


def test_the_parts_of_a_broken_function_are_frames(log: CompileLog) -> None:
    """One frame before the break, and one that resumes after it."""
    record = compiling(log, prints, X)

    assert [frame.is_compiled for frame in record.frames] == [True, True]
    assert [frame.where.function for frame in record.frames] == ["prints", "prints"]
    assert [frame.is_resumed for frame in record.frames] == [False, True]


def test_a_recompile_has_its_failed_guard(log: CompileLog) -> None:
    """The second value of a float recompiles; the third does not, since Dynamo has made it dynamic."""
    compiled = torch.compile(scaled, backend="eager")
    compiled(X, 2.0)
    start = log.mark()
    compiled(X, 3.0)
    frame = the_frame(log.since(start, SUBJECT))
    start = log.mark()
    compiled(X, 4.0)

    assert frame.compile_id == "0/1"
    assert frame.failed_guard is not None
    assert (frame.failed_guard.source, frame.failed_guard.old, frame.failed_guard.new) == (
        "factor",
        "float 2.0",
        "float 3.0",
    )
    assert str(frame.failed_guard.where) == f"{FILE}:{line_of(scaled, 'return x * factor')}"
    assert log.since(start, SUBJECT).frames == ()


def test_a_changed_rank_is_a_failed_shape_guard(log: CompileLog) -> None:
    """The text is Dynamo's, with the old and the new rank."""
    compiled = torch.compile(doubled, backend="eager")
    compiled(X)
    start = log.mark()
    compiled(torch.ones(3, 2))

    failed = the_frame(log.since(start, SUBJECT)).failed_guard

    assert failed is not None
    assert failed.kind is GuardKind.SHAPE
    assert failed.text == "tensor 'x' rank mismatch. expected 1, actual 2"


def test_a_position_selects_later_compilations(log: CompileLog) -> None:
    """An earlier position still includes everything compiled after it."""
    start = log.mark()
    compiling(log, clean, X)
    middle = log.mark()
    compiling(log, prints, X)
    end = log.mark()

    assert [frame.where.function for frame in log.since(start, SUBJECT).frames][:2] == ["clean", "prints"]
    assert log.since(middle, SUBJECT).frames[0].where.function == "prints"
    assert len(log.since(start, SUBJECT).breaks) == len(log.since(middle, SUBJECT).breaks) == 1
    assert log.since(end, SUBJECT) == CompilationRecord(subject=SUBJECT, frames=(), breaks=())


def test_the_log_survives_a_reset_of_dynamo(log: CompileLog) -> None:
    """Dynamo clears its own lists between two pipelines; the log keeps its entries, without duplicates."""
    start = log.mark()
    for _ in range(2):
        compiling(log, reads, X)
        torch._dynamo.reset()
    record = log.since(start, SUBJECT)

    assert [frame.where.function for frame in record.frames if not frame.is_resumed] == ["reads", "reads"]
    assert len(record.breaks) == 1  # one entry per line, for any number of breaks


def test_earlier_compilations_are_not_in_the_log() -> None:
    """A log starts when it is opened."""
    torch.compile(clean, backend="eager")(X)
    with CompileLog() as log:
        record = log.since(log.mark(), SUBJECT)
        everything = compiling(log, doubled, X)

    assert record.frames == ()
    assert [frame.where.function for frame in everything.frames] == ["doubled"]


def test_reaching_the_recompile_limit_is_recorded(log: CompileLog) -> None:
    """Dynamo only warns; from then on the function runs eagerly."""
    compiled = torch.compile(scaled, backend="eager", dynamic=False)
    start = log.mark()
    with torch._dynamo.config.patch(recompile_limit=2):
        for factor in range(4):
            compiled(X, factor)
    frames = log.since(start, SUBJECT).frames

    assert [frame.is_compiled for frame in frames] == [True, True, False]
    assert [frame.hit_limit for frame in frames] == [False, False, True]


def test_nested_logs_both_record_and_torch_is_restored() -> None:
    """A test session inside of another, as with pytester; the logs may be closed in any order."""
    before = torch._dynamo.convert_frame._compile
    first, second = CompileLog(), CompileLog()
    first.__enter__()
    second.__enter__()
    starts = first.mark(), second.mark()
    torch.compile(clean, backend="eager")(X)
    first.__exit__()
    torch.compile(doubled, backend="eager")(X)
    second.__exit__()
    torch.compile(prints, backend="eager")(X)

    assert [frame.region for frame in first.since(starts[0], SUBJECT).frames] == ["clean"]
    assert [frame.region for frame in second.since(starts[1], SUBJECT).frames] == ["clean", "doubled"]
    assert torch._dynamo.convert_frame._compile is before


def test_warm_up_includes_compilations_of_earlier_calls(log: CompileLog) -> None:
    """A pipeline that was warmed up when it was built is not compiled again, but still recorded."""
    compiled = torch.compile(clean, backend="eager")
    start = log.mark()
    compiled(X)
    record = watch_warmup(log, start, lambda: compiled(X), SUBJECT)

    assert the_frame(record).where.function == "clean"


def varied(log: CompileLog, function: Callable[..., Any], *calls: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Make these calls, and return the functions that each compiled after warm-up."""
    compiled = torch.compile(function, backend="eager")
    record = watch_recompiles(log, lambda inputs: compiled(**inputs), calls, start=log.mark(), subject=SUBJECT)
    assert len(record.warmup_frames) == 1
    return [(one.variation, [frame.where.function for frame in one.frames]) for one in record.variations]


def test_each_varied_call_has_its_compilations(log: CompileLog) -> None:
    """The first call is also the warm-up; a call without a label is named by its number."""
    assert varied(log, scaled, {"x": X, "factor": 2.0}, {"x": X, "factor": 3.0}, {"x": X, "factor": 4.0}) == [
        ("call 1", []),
        ("call 2", ["scaled"]),
        ("call 3", []),
    ]


def test_a_varied_call_is_named_by_its_label(log: CompileLog) -> None:
    """Failures show the label."""

    class Inputs(PipelineInputs):
        """Inputs for a function that takes no generator."""

        def __iter__(self) -> Iterator[str]:
            return (name for name in super().__iter__() if name != "generator")

    calls = [Inputs({"x": X}, label="plain"), Inputs({"x": torch.ones(3, 3)}, label="3 x 3")]

    assert varied(log, doubled, *calls) == [("plain", []), ("3 x 3", ["doubled"])]


def test_a_first_compilation_after_a_reset_is_not_a_recompile(log: CompileLog) -> None:
    """Dynamo is reset when another pipeline ends; the next call then compiles everything for the first time."""
    compiled = torch.compile(scaled, backend="eager")
    start = log.mark()
    compiled(X, 2.0)
    warm = log.mark()
    torch._dynamo.reset()

    def call(inputs: Mapping[str, Any]) -> object:
        return compiled(**inputs)

    record = watch_recompiles(log, call, [{"x": X, "factor": 2.0}], start=start, warm=warm, subject=SUBJECT)

    assert [(one.variation, one.frames) for one in record.variations] == [("call 1", ())]
    assert len(record.warmup_frames) == 1


def test_a_module_that_is_no_longer_compiled_is_lost(log: CompileLog) -> None:
    """A module that replaces a compiled one is eager until it is compiled too."""
    target = nn.Sequential(Decorated(), Decorated())
    target[0].compile(backend="eager")

    def call(inputs: Mapping[str, Any]) -> object:
        if inputs.get("swap"):
            target[0] = Decorated()
        return target(X)

    record = watch_recompiles(log, call, [{}, {"swap": True}], start=log.mark(), subject=SUBJECT, target=target)

    assert record.lost == ("Sequential.0",)


def test_a_fullgraph_error_is_recorded_as_a_break(log: CompileLog) -> None:
    """The record has torch's traceback; any other error is raised."""
    compiled = torch.compile(branches, backend="eager", fullgraph=True)
    record = watch_warmup(log, log.mark(), lambda: compiled(X), SUBJECT)

    assert record.ended_by_fullgraph
    assert the_break(record).reason == "Data-dependent branching"
    assert record.torch_traceback.startswith("Traceback (most recent call last)")
    with pytest.raises(ZeroDivisionError):
        watch_warmup(log, log.mark(), lambda: 1 // 0, SUBJECT)


def test_a_fullgraph_error_ends_the_varied_calls(log: CompileLog) -> None:
    """Later calls would depend on the state of a failed pipeline."""
    compiled = torch.compile(branches_when_asked, backend="eager", fullgraph=True)
    calls = [{"x": X, "flag": False}, {"x": X, "flag": True}, {"x": X, "flag": False}]
    record = watch_recompiles(log, lambda inputs: compiled(**inputs), calls, start=log.mark(), subject=SUBJECT)

    assert [one.variation for one in record.variations] == ["call 1", "call 2"]
    assert [found.reason for found in record.breaks] == ["Data-dependent branching"]
    assert record.torch_traceback


def test_the_graphs_that_a_call_runs_are_counted(log: CompileLog) -> None:
    """Those that the call itself compiles, and those of before; not the calls of another one."""
    compiled = torch.compile(scaled, backend="eager")
    first = watch_warmup(log, log.mark(), lambda: (compiled(X, 2.0), compiled(X, 2.0)), SUBJECT)
    later = watch_warmup(log, log.mark(), lambda: compiled(X, 2.0), SUBJECT)
    other = watch_warmup(log, log.mark(), lambda: scaled(X, 2.0), SUBJECT)

    assert [one.graph_calls for one in (first, later, other)] == [2, 1, 0]


def test_the_graphs_of_each_varied_call_are_counted(log: CompileLog) -> None:
    """A call may leave the compiled function out."""
    compiled = torch.compile(doubled, backend="eager")

    def call(inputs: Mapping[str, Any]) -> object:
        return compiled(X) if inputs["uses"] else None

    calls = [{"uses": True}, {"uses": False}]
    record = watch_recompiles(log, call, calls, start=log.mark(), subject=SUBJECT)

    assert [one.graph_calls for one in record.variations] == [1, 0]
