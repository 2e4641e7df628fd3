"""Every compilation of Dynamo, told as it ends: what was captured, what broke, and what a guard's source is now."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import torch._dynamo.convert_frame as _convert_frame
import torch._dynamo.output_graph as _output_graph
import torch._dynamo.symbolic_convert as _symbolic_convert
import torch._dynamo.utils as _dynamo_utils

from pytest_diffopt._torch_private.compile_errors import FullGraphError, RecompileLimitError
from pytest_diffopt._torch_private.wrapped_code import written_code

_LIMIT_BREAK = "Dynamo recompile limit exceeded"
# What asks for a tensor's value and stays in the graph, where Dynamo was told to capture it.
_READS = frozenset({"item", "tolist", "nonzero", "_local_scalar_dense"})
_STACK_LINE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


@dataclass(frozen=True, kw_only=True, slots=True)
class StackLine:
    """One line of the user's stack, as Dynamo traced it."""

    path: str
    line: int
    function: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedBreak:
    """One thing that Dynamo could not capture, or that it captured although it asks for a tensor's value.

    Attributes:
        message: Dynamo's text; the reason of what broke first stands first.
        stack: the user's stack, the innermost line last.
        gave_up: Dynamo left the whole function to Python, because it cannot resume after this line.
    """

    message: str
    stack: tuple[StackLine, ...]
    gave_up: bool = False


@dataclass(kw_only=True, slots=True)
class Compilation:
    """What Dynamo did for one frame, told while the frame's variables are still alive.

    Attributes:
        code: the function that a person wrote; where a decorator wraps it, not the wrapper.
        wrapper: what Dynamo compiles: the decorator's wrapper, which other functions may share, or the function itself.
        compile_id: Dynamo's own id.
        metrics: Dynamo's account; None where it ended before it had one.
        breaks: what it could not capture.
        reads: what it captured and waits for all the same.
        hit_limit: the function was compiled too often, and will not be again.
        skipped_cuda_graphs: Inductor meant to use CUDA graphs, and does not.
        value_of: returns what an expression of a guard is now; raises where it cannot be evaluated.
        namespace: the globals of the function's module.
    """

    code: CodeType
    wrapper: CodeType
    compile_id: str
    value_of: Callable[[str], object]
    namespace: dict[str, Any]
    metrics: Any = None
    breaks: list[TracedBreak] = field(default_factory=list)
    reads: list[TracedBreak] = field(default_factory=list)
    hit_limit: bool = False
    skipped_cuda_graphs: bool = False


_listeners: list[Callable[[Compilation], None]] = []
_running: list[Compilation] = []
_patched = ExitStack()


@contextmanager
def compilations_watched(progress: Callable[[Compilation], None]) -> Iterator[None]:
    """Tell of every compilation as it ends, also of one that raises."""
    if not _listeners:
        _patched.enter_context(_replaced(_convert_frame, "_compile", _watching_compile))
        _patched.enter_context(
            _replaced(_symbolic_convert.InstructionTranslatorBase, "log_graph_break", _watching_breaks)
        )
        _patched.enter_context(_replaced(_output_graph.OutputGraph, "call_user_compiler", _watching_graphs))
    _listeners.append(progress)
    try:
        yield
    finally:
        _listeners.remove(progress)
        if not _listeners:
            _patched.close()


@contextmanager
def _replaced(owner: Any, name: str, watching: Callable[[Any], Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, watching(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def _watching_compile(original: Callable[..., Any]) -> Callable[..., Any]:
    def watched(
        code: CodeType, f_globals: Any, f_locals: Any, builtins: Any, closure: Any, /, *args: Any, **kwargs: Any
    ) -> Any:
        found = Compilation(
            code=written_code(code, closure or ()),
            wrapper=code,
            compile_id=str(kwargs["compile_id"]),
            value_of=lambda expression: _evaluated(expression, f_locals, f_globals),
            namespace=f_globals,
        )
        _running.append(found)
        last, skips = _last_metrics(), _cuda_graph_skips()
        # Dynamo leaves its own frames out of the stacks that it writes down: this one is one more.
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
            for progress in _listeners:
                progress(found)

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
        return original(self, gm, *args)

    return call_user_compiler


def _note_error(found: Compilation, error: Exception) -> None:
    if isinstance(error, RecompileLimitError) or getattr(error, "gb_type", "") == _LIMIT_BREAK:
        found.hit_limit = True
    elif isinstance(error, FullGraphError):
        found.breaks.append(_traced(error, gave_up=True))


def _traced(error: Any, *, gave_up: bool = False) -> TracedBreak:
    stack = getattr(error, "real_stack", None) or ()
    lines = tuple(StackLine(path=one.filename, line=one.lineno or 0, function=one.name) for one in stack)
    return TracedBreak(message=str(getattr(error, "msg", error)), stack=lines, gave_up=gave_up)


def _operator(node: Any) -> str:
    if node.op == "call_method":
        return str(node.target)
    return getattr(node.target, "__name__", "").partition(".")[0] if node.op == "call_function" else ""


def _is_of_a_number(node: Any) -> bool:
    """Tell whether a read is of a Python number: Dynamo hands one that varies to the graph in a tensor of the host."""
    given = getattr(node.args[0], "meta", {}).get("grapharg") if node.args else None
    return given is not None and not given.is_tensor


def _read(node: Any) -> TracedBreak:
    lines = tuple(
        StackLine(path=found["path"], line=int(found["line"]), function=found["function"])
        for found in _STACK_LINE.finditer(node.stack_trace or "")
    )
    return TracedBreak(message=f"the graph holds .{_operator(node)}()", stack=lines)


def _evaluated(expression: str, f_locals: Any, f_globals: Any) -> object:
    """Evaluate what torch itself evaluates at every call: the source of a guard."""
    scope = {"L": f_locals, "G": f_globals, **f_locals}
    return eval(expression, {"__builtins__": {"len": len}}, scope)  # noqa: S307 - torch wrote the text


def _last_metrics() -> Any:
    metrics = _dynamo_utils._compilation_metrics
    return metrics[-1] if metrics else None


def _first_frame_after(last: Any) -> Any:
    """Return the account that Dynamo wrote last, unless it is the one that was there before."""
    now = _last_metrics()
    return now if now is not last and now is not None and now.co_filename else None


def _cuda_graph_skips() -> int:
    return int(_dynamo_utils.counters["inductor"]["cudagraph_skips"])
