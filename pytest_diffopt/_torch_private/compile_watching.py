"""Reports each compilation of Dynamo as it ends: graph breaks, captured reads, and the values of guard sources."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import torch
import torch._dynamo.convert_frame as _convert_frame
import torch._dynamo.output_graph as _output_graph
import torch._dynamo.symbolic_convert as _symbolic_convert
import torch._dynamo.utils as _dynamo_utils

from pytest_diffopt._torch_private.compile_errors import USER_ERRORS, OperatorError, RecompileLimitError
from pytest_diffopt._torch_private.generated_modules import GeneratedModule, generated_modules_watched
from pytest_diffopt._torch_private.inductor import inductor_totals
from pytest_diffopt._torch_private.replacing import replaced
from pytest_diffopt._torch_private.wrapped_code import written_code

_LIMIT_BREAK = "Dynamo recompile limit exceeded"
# Operations that read a tensor's value and stay in the graph if Dynamo is configured to capture them.
_READS = frozenset({"item", "tolist", "nonzero", "_local_scalar_dense"})
# What precedes the user's stack in the message of an error that Dynamo raises.
_USER_CODE = "from user code:"
_STACK_LINE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


@dataclass(frozen=True, kw_only=True, slots=True)
class StackLine:
    """One line of the user's stack, as Dynamo traced it."""

    path: str
    line: int
    function: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedBreak:
    """A graph break, or a captured read of a tensor's value.

    Attributes:
        message: Dynamo's message; it starts with the reason of the first break.
        stack: the user's stack, with the innermost line last.
        gave_up: Dynamo skips the whole function, because it cannot resume after this line.
    """

    message: str
    stack: tuple[StackLine, ...]
    gave_up: bool = False


@dataclass(kw_only=True, slots=True)
class Compilation:
    """One compilation of a frame, reported while the frame's variables still exist.

    Attributes:
        code: the function that the user wrote, below its decorators.
        wrapper: the code that Dynamo compiles: a decorator's wrapper, which other functions may share, or the function.
        compile_id: Dynamo's id.
        metrics: Dynamo's metrics; None if the compilation ended before they were recorded.
        breaks: the graph breaks.
        reads: captured reads, which synchronize although the graph does not break.
        hit_limit: the function reached the recompile limit and is not compiled again.
        skipped_cuda_graphs: Inductor was to use CUDA graphs, and skipped them.
        inductor: what Inductor generated, by the names of `inductor_totals`.
        modules: the modules that Inductor generated.
        value_of: returns the current value of a guard's expression; raises if it cannot be evaluated.
        namespace: the globals of the function's module.
        shapes: the shapes of the tensors among the arguments, by the parameter's name.
    """

    code: CodeType
    wrapper: CodeType
    compile_id: str
    value_of: Callable[[str], object]
    namespace: dict[str, Any]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    metrics: Any = None
    breaks: list[TracedBreak] = field(default_factory=list)
    reads: list[TracedBreak] = field(default_factory=list)
    hit_limit: bool = False
    skipped_cuda_graphs: bool = False
    inductor: dict[str, int] = field(default_factory=dict)
    modules: list[GeneratedModule] = field(default_factory=list)


_listeners: list[Callable[[Compilation], None]] = []
_running: list[Compilation] = []
_patched = ExitStack()


@contextmanager
def compilations_watched(report: Callable[[Compilation], None]) -> Iterator[None]:
    """Call `report` with each compilation as it ends, including those that raise."""
    if not _listeners:
        _patched.enter_context(replaced(_convert_frame, "_compile", _watching_compile))
        _patched.enter_context(
            replaced(_symbolic_convert.InstructionTranslatorBase, "log_graph_break", _watching_breaks)
        )
        _patched.enter_context(replaced(_output_graph.OutputGraph, "call_user_compiler", _watching_graphs))
    _listeners.append(report)
    try:
        yield
    finally:
        _listeners.remove(report)
        if not _listeners:
            _patched.close()


def _watching_compile(original: Callable[..., Any]) -> Callable[..., Any]:
    def watched(
        code: CodeType, f_globals: Any, f_locals: Any, builtins: Any, closure: Any, /, *args: Any, **kwargs: Any
    ) -> Any:
        written = written_code(code, closure or ())
        found = Compilation(
            code=written,
            shapes=_shapes(code, written, f_locals),
            wrapper=code,
            compile_id=str(kwargs["compile_id"]),
            value_of=lambda expression: _evaluated(expression, f_locals, f_globals),
            namespace=f_globals,
        )
        _running.append(found)
        last, skips, generated = _last_metrics(), _cuda_graph_skips(), inductor_totals()
        # Dynamo skips its own frames in the stacks that it records; this function adds one.
        kwargs["skip"] = kwargs.get("skip", 0) + 1
        try:
            return original(code, f_globals, f_locals, builtins, closure, *args, **kwargs)
        except Exception as error:
            _note_error(found, error)
            raise
        finally:
            _running.pop()
            found.metrics = _first_frame_after(last)
            found.skipped_cuda_graphs = _cuda_graph_skips() > skips
            found.inductor = {name: number - generated[name] for name, number in inductor_totals().items()}
            for report in _listeners:
                report(found)

    return watched


def _watching_breaks(original: Callable[..., Any]) -> Callable[..., Any]:
    def log_graph_break(self: Any, *args: Any, exc: Any, **kwargs: Any) -> Any:
        if _running and not exc.logged:
            _running[-1].breaks.append(_traced(exc))
        return original(self, *args, exc=exc, **kwargs)

    return log_graph_break


def _watching_graphs(original: Callable[..., Any]) -> Callable[..., Any]:
    def call_user_compiler(self: Any, gm: Any, *args: Any) -> Any:
        if _running:
            reads = (node for node in gm.graph.nodes if _operator(node) in _READS)
            _running[-1].reads += [_read(node) for node in reads if not _is_of_a_number(node)]
        with _modules_watched(self.compiler_fn):
            return original(self, gm, *args)

    return call_user_compiler


def _modules_watched(backend: Any) -> AbstractContextManager[None]:
    while hasattr(backend, "_torchdynamo_orig_backend"):
        backend = backend._torchdynamo_orig_backend
    if not _running or getattr(backend, "compiler_name", "") != "inductor":
        return nullcontext()
    return generated_modules_watched(_running[-1].modules.append)


def _note_error(found: Compilation, error: Exception) -> None:
    if isinstance(error, RecompileLimitError) or getattr(error, "gb_type", "") == _LIMIT_BREAK:
        found.hit_limit = True
    elif isinstance(error, (*USER_ERRORS, OperatorError)):
        found.breaks.append(_traced(error, gave_up=True))


def _traced(error: Any, *, gave_up: bool = False) -> TracedBreak:
    stack = getattr(error, "real_stack", None) or ()
    lines = tuple(StackLine(path=one.filename, line=one.lineno or 0, function=one.name) for one in stack)
    lines = lines or _stack_in(str(error).partition(_USER_CODE)[2])
    return TracedBreak(message=str(getattr(error, "msg", error)), stack=lines, gave_up=gave_up)


def _operator(node: Any) -> str:
    if node.op == "call_method":
        return str(node.target)
    return getattr(node.target, "__name__", "").partition(".")[0] if node.op == "call_function" else ""


def _is_of_a_number(node: Any) -> bool:
    """Return whether a read is of a Python number, which Dynamo passes to the graph in a host tensor if it varies."""
    given = getattr(node.args[0], "meta", {}).get("grapharg") if node.args else None
    return given is not None and not given.is_tensor


def _read(node: Any) -> TracedBreak:
    return TracedBreak(message=f"the graph holds .{_operator(node)}()", stack=_stack_in(node.stack_trace or ""))


def _stack_in(text: str) -> tuple[StackLine, ...]:
    return tuple(
        StackLine(path=found["path"], line=int(found["line"]), function=found["function"])
        for found in _STACK_LINE.finditer(text)
    )


def _shapes(wrapper: CodeType, written: CodeType, f_locals: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors among the arguments, those that a decorator's wrapper passes on included."""
    own, rest = _parameters(wrapper)
    arguments = {name: f_locals.get(name) for name in own}
    names, _ = _parameters(written)
    for name in rest:
        passed = f_locals.get(name)
        arguments |= passed if isinstance(passed, dict) else dict(zip(names[len(own) :], passed or (), strict=False))
    plain = {name: one for name, one in arguments.items() if type(one) is torch.Tensor and not one.is_nested}
    return {name: tuple(map(int, one.shape)) for name, one in plain.items()}


def _parameters(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the named parameters of a function, and those of the form `*args` and `**kwargs`."""
    end = code.co_argcount + code.co_kwonlyargcount
    num_rest = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[:end], code.co_varnames[end : end + num_rest]


def _evaluated(expression: str, f_locals: Any, f_globals: Any) -> object:
    """Evaluate the source expression of a guard, as torch does at every call."""
    scope = {"L": f_locals, "G": f_globals, **f_locals}
    return eval(expression, {"__builtins__": {"len": len}}, scope)  # noqa: S307 - torch wrote the text


def _last_metrics() -> Any:
    metrics = _dynamo_utils._compilation_metrics
    return metrics[-1] if metrics else None


def _first_frame_after(last: Any) -> Any:
    """Return Dynamo's last metrics, unless they are `last` or belong to no frame."""
    now = _last_metrics()
    return now if now is not last and now is not None and now.co_filename else None


def _cuda_graph_skips() -> int:
    return int(_dynamo_utils.counters["inductor"]["cudagraph_skips"])
