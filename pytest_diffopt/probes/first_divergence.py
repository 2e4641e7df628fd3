"""The first module whose output differs between two pipelines that make the same call.

The search descends one nesting level per call, starting at the components: keeping the outputs of all modules of a
large denoiser at once would need more memory than the pipeline.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.compiled_modules import compiled_parts
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.records import ModuleDrift

#: Largest relative error at which tensors count as equal.
CORRIDOR = 0.1

_Module = torch.nn.Module
_Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One call of one module: its inputs, its outputs and its denoise step."""

    path: str
    inputs: _Tensors
    outputs: _Tensors
    step: int | None


@dataclass(kw_only=True, slots=True)
class _Trace:
    """The calls of some modules, in the order in which they return."""

    calls: list[_Call] = field(default_factory=list)

    def numbered(self) -> dict[tuple[str, int], _Call]:
        """Return each call, keyed by its module's path and the number of earlier calls of that module."""
        known: dict[str, int] = {}
        found = {}
        for call in self.calls:
            number = known.get(call.path, 0)
            known[call.path] = number + 1
            found[call.path, number] = call
        return found


def first_diverging_module(
    target: Any, reference: Any, call: Callable[[Any], object], *, corridor: float = CORRIDOR
) -> ModuleDrift | None:
    """Return the innermost module whose output is the first to differ although its inputs agree.

    Compiled modules run eagerly during the search, so that the modules inside of them can be observed. Modules that
    only one pipeline calls, such as those replaced by a fused projection, are skipped.

    Args:
        target: the pipeline or module.
        reference: the reference, with modules of the same names.
        call: makes the same call of whichever of both it is given.
        corridor: largest relative error at which tensors count as equal.

    Returns:
        The module; None when the difference grows gradually over many modules, or arises outside of all modules.

    Raises:
        ProbeError: target or reference has no modules.
    """
    ours, theirs = _modules(target), _modules(reference)
    paths, found = _children(ours, ""), None
    while paths:
        pair = [_watched(one, modules, paths, call) for one, modules in ((target, ours), (reference, theirs))]
        drift = _first_diverging(*pair, corridor=corridor)
        if drift is None:
            break
        found = replace(drift, module_type=type(ours[drift.module]).__name__)
        paths = _children(ours, drift.module)
    return found


def _modules(target: Any) -> dict[str, _Module]:
    """Return every module by its path in the pipeline."""
    parts = modules_of(target)
    if not parts:
        msg = f"the search for the diverging module needs pipelines or modules, got: {type(target).__name__}"
        raise ProbeError(msg)
    return {
        ".".join(filter(None, [component, path])): module
        for component, part in parts.items()
        for path, module in part.named_modules()
    }


def _children(modules: Mapping[str, _Module], parent: str) -> tuple[str, ...]:
    """Return the direct children of a module; a container that is never called is replaced by its own children."""
    depth = parent.count(".") + 1 if parent else 0
    below = [path for path in modules if path.count(".") == depth and path.startswith(f"{parent}." if parent else "")]
    return tuple(inner for path in below for inner in _called(modules, path))


def _called(modules: Mapping[str, _Module], path: str) -> tuple[str, ...]:
    module = modules[path]
    is_container = isinstance(module, (torch.nn.ModuleList, torch.nn.ModuleDict))
    # a VAE is called through `decode`, which runs no hooks: its children are watched instead
    is_called_by_name = "." not in path and callable(getattr(module, "decode", None))
    return _children(modules, path) if is_container or is_called_by_name else (path,)


def _watched(
    target: Any, modules: Mapping[str, _Module], paths: Sequence[str], call: Callable[[Any], object]
) -> _Trace:
    trace = _Trace()
    with ExitStack() as stack:
        loop = stack.enter_context(watch_denoise_loop(target)) if has_denoise_loop(target) else None
        for part in compiled_parts(target):
            stack.enter_context(part.replaced(lambda _path, _compiled, eager: eager))
        for path in paths:
            if path in modules:
                stack.enter_context(_hooked(modules[path], path, trace, loop))
        call(target)
    return trace


@contextmanager
def _hooked(module: _Module, path: str, trace: _Trace, loop: DenoiseLoop | None) -> Iterator[None]:
    def keep(_module: _Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        step = loop.step if loop else None
        inputs, outputs = _copies([*args, *kwargs.values()]), _copies(output)
        trace.calls.append(_Call(path=path, inputs=inputs, outputs=outputs, step=step))

    handle = module.register_forward_hook(keep, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _first_diverging(ours: _Trace, theirs: _Trace, *, corridor: float) -> ModuleDrift | None:
    known = theirs.numbered()
    for key, call in ours.numbered().items():
        other = known.get(key)
        if other is None:
            continue
        error, input_error = _error(call.outputs, other.outputs), _error(call.inputs, other.inputs)
        # "not (error <= corridor)", so that a NaN counts as different
        if not error <= corridor and input_error <= corridor:
            return ModuleDrift(
                module=call.path, module_type="", step=call.step, relative_error=error, input_error=input_error
            )
    return None


def _error(ours: _Tensors, theirs: _Tensors) -> float:
    """Return the largest relative error of any tensor; tensors whose shapes differ (another layout) are skipped."""
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=False) if one.shape == other.shape]
    return max((_relative(*pair) for pair in pairs), default=0.0)


def _relative(one: torch.Tensor, other: torch.Tensor) -> float:
    difference, length = float((one - other).norm()), float(other.norm())
    return difference / length if length else float(difference > 0)


def _copies(value: Any) -> _Tensors:
    """Copy every floating-point tensor of a call's arguments or result: a module may modify them in place."""
    if isinstance(value, torch.Tensor):
        return (value.detach().to("cpu", torch.float64, copy=True),) if value.dtype.is_floating_point else ()
    if isinstance(value, Mapping):
        return _copies(list(value.values()))
    if isinstance(value, (list, tuple)):
        return tuple(tensor for item in value for tensor in _copies(item))
    return ()
