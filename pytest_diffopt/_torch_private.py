"""The one file that touches private names of torch; everything here is checked by `tests/unit/test_torch_private.py`.

Read in torch 2.11.0, 2.12.1 and 2.13.0.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CellType, CodeType, FunctionType
from typing import Any

import torch
import torch._dynamo.config as _dynamo_config
import torch._dynamo.convert_frame as _convert_frame
import torch._dynamo.eval_frame as _eval_frame
import torch._dynamo.exc as _exc
import torch._dynamo.output_graph as _output_graph
import torch._dynamo.symbolic_convert as _symbolic_convert
import torch._dynamo.utils as _dynamo_utils
import torch._functorch.config as _functorch_config
import torch._inductor.config as _inductor_config
from torch.testing._comparison import default_tolerances

#: What a graph break raises under `fullgraph=True`.
FullGraphError = _exc.Unsupported
#: What `fullgraph=True` raises when a function was compiled too often.
RecompileLimitError = _exc.FailOnRecompileLimitHit
#: What torch raises for a backend that it does not know.
InvalidBackendError = _exc.InvalidBackend
#: What torch raises when the backend fails; it holds the backend's own error.
BackendError = _exc.BackendCompilerFailed

_LIMIT_BREAK = "Dynamo recompile limit exceeded"
# What asks for a tensor's value and stays in the graph, where Dynamo was told to capture it.
_READS = frozenset({"item", "tolist", "nonzero", "_local_scalar_dense"})
_STACK_LINE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
_SWITCHES = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")


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
    """

    code: CodeType
    wrapper: CodeType
    compile_id: str
    value_of: Callable[[str], object]
    metrics: Any = None
    breaks: list[TracedBreak] = field(default_factory=list)
    reads: list[TracedBreak] = field(default_factory=list)
    hit_limit: bool = False
    skipped_cuda_graphs: bool = False


_listeners: list[Callable[[Compilation], None]] = []
_running: list[Compilation] = []
_patched = ExitStack()


@contextmanager
def compilations_watched(tell: Callable[[Compilation], None]) -> Iterator[None]:
    """Tell of every compilation as it ends, also of one that raises."""
    if not _listeners:
        _patched.enter_context(_replaced(_convert_frame, "_compile", _watching_compile))
        _patched.enter_context(
            _replaced(_symbolic_convert.InstructionTranslatorBase, "log_graph_break", _watching_breaks)
        )
        _patched.enter_context(_replaced(_output_graph.OutputGraph, "call_user_compiler", _watching_graphs))
    _listeners.append(tell)
    try:
        yield
    finally:
        _listeners.remove(tell)
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
            for tell in _listeners:
                tell(found)

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
    elif isinstance(error, _exc.Unsupported):
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


def written_code(code: CodeType, closure: Sequence[CellType]) -> CodeType:
    """Return the code of the function that a decorator's `wrapper(*args, **kwargs)` holds; any other code as it is."""
    takes_anything = CO_VARARGS | CO_VARKEYWORDS
    if "<locals>" not in code.co_qualname or code.co_flags & takes_anything != takes_anything:
        return code
    held = next((content for content in map(_content, closure) if isinstance(content, FunctionType)), None)
    return written_code(held.__code__, held.__closure__ or ()) if held else code


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was put into it yet
        return None


def compile_switched_off() -> str:
    """Return what keeps `torch.compile` from compiling anything in this process; empty when nothing does."""
    for name in _SWITCHES:
        if os.environ.get(name) == "1":
            return f"{name}=1 is set"
    if _dynamo_config.disable:
        return "torch._dynamo.config.disable is True"
    stance = _eval_frame._stance.stance
    return f"torch.compiler.set_stance({stance!r}) is in force" if stance == "force_eager" else ""


def tolerances(dtype: torch.dtype) -> tuple[float, float]:
    """Return how far `torch.testing` lets values of a dtype be apart: relative, absolute."""
    return default_tolerances(dtype)


def compiled_code_count(code: CodeType) -> int:
    """Return how many compiled versions of a function Dynamo holds; each was made because the function ran."""
    return len(_eval_frame._debug_get_cache_entry_list(code))


def original_callable(compiled: Any) -> Any | None:
    """Return what `torch.compile` wrapped; None for something that it did not make."""
    return getattr(compiled, "_torchdynamo_orig_callable", None)


def is_compiled_module(module: Any) -> bool:
    """Tell whether `module.compile()` was called."""
    return getattr(module, "_compiled_call_impl", None) is not None


@contextmanager
def call_replaced(module: Any, call: Callable[[Callable[..., Any], Callable[..., Any]], Any]) -> Iterator[None]:
    """Let something else answer for a module that was compiled in place.

    Args:
        module: the module.
        call: made from the compiled call and the eager one, what is called instead.
    """
    compiled = module._compiled_call_impl
    module._compiled_call_impl = call(compiled, module._call_impl)
    try:
        yield
    finally:
        module._compiled_call_impl = compiled


@contextmanager
def trace_not_captured() -> Iterator[None]:
    """Keep torch's structured trace out of pytest's captured logs.

    pytest hangs its handlers on every logger that does not propagate, this one too. It writes thousands of empty DEBUG
    lines a compilation, printed under each failure, and torch prepares their payloads whenever it has any handler.
    Handlers of torch's own (`TORCH_TRACE`) stay.
    """
    trace = logging.getLogger("torch.__trace")
    strangers = [handler for handler in trace.handlers if not type(handler).__module__.startswith("torch.")]
    for handler in strangers:
        trace.removeHandler(handler)
    try:
        yield
    finally:
        for handler in strangers:
            trace.addHandler(handler)


def inductor_flags() -> dict[str, Any]:
    """Return every flag of Inductor with its value of now."""
    flags: dict[str, Any] = _inductor_config.get_config_copy()
    return flags


def inductor_flags_set(flags: Mapping[str, Any]) -> AbstractContextManager[object]:
    """Return a context in which Inductor's flags have other values."""
    context: AbstractContextManager[object] = _inductor_config.patch(dict(flags))
    return context


@contextmanager
def inductor_caches_on() -> Iterator[None]:
    """Let Inductor and AOTAutograd keep what they compile on disk and look there first."""
    with _inductor_config.patch(fx_graph_cache=True), _functorch_config.patch(enable_autograd_cache=True):
        yield


def compilation_metrics() -> Sequence[Any]:
    """Return Dynamo's own account of each of the last frames that it compiled or gave up, oldest first."""
    return _dynamo_utils.get_compilation_metrics()


def flags_while_compiling(since_us: int) -> list[Mapping[str, Any]]:
    """Return Inductor's flags as Dynamo wrote them down at each compilation that started since a moment."""
    kept = _dynamo_utils.get_compilation_metrics()  # the last 64
    metrics = [one for one in kept if one.has_guarded_code and (one.start_time_us or 0) >= since_us]
    return [json.loads(one.inductor_config) for one in metrics if one.inductor_config]


def inner_dtypes(tensor: torch.Tensor) -> set[torch.dtype]:
    """Return the dtypes of the tensors that a wrapper subclass is made of; empty for a plain tensor."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    names = flatten()[0] if flatten else ()
    return {getattr(tensor, name).dtype for name in names}


def original_module(module: Any) -> Any | None:
    """Return the module that `torch.compile(module)` wrapped; None for one that it did not wrap."""
    return (
        vars(module).get("_modules", {}).get("_orig_mod") if isinstance(module, _eval_frame.OptimizedModule) else None
    )


def as_if_compiling() -> AbstractContextManager[None]:
    """Return a context in which `torch.compiler.is_compiling()` is true."""
    context: AbstractContextManager[None] = torch.compiler._compile_session_context()
    return context
