"""The module at which two pipelines part: both make the same call, and their modules' outputs are laid side by side.

Level by level, from a pipeline's components down: keeping what every module of a large denoiser gives at once would
need more memory than the pipeline itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.compiled_modules import compiled_parts
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.records import ModuleDrift

#: A module is where images part when its output is further off than this share, and its inputs are not.
CORRIDOR = 0.1

_Module = torch.nn.Module
_Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One call of one module: what went in, what came out, and in which denoise step."""

    path: str
    inputs: _Tensors
    outputs: _Tensors
    step: int | None


@dataclass(kw_only=True, slots=True)
class _Trace:
    """The calls of some modules, in the order in which they end."""

    calls: list[_Call] = field(default_factory=list)

    def numbered(self) -> dict[tuple[str, int], _Call]:
        """Return each call by its module's path and how often that was called before."""
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
    """Find the innermost module whose output first leaves the corridor though its inputs are inside.

    What is compiled runs uncompiled meanwhile: nobody can look into it. Modules that only one pipeline calls, such as
    those that a fused projection replaces, are passed over.

    Args:
        target: the pipeline or module.
        reference: what it is compared with, of the same modules by name.
        call: makes one and the same call of what it is given.
        corridor: how far an output may be off, as a share of the reference's length.

    Returns:
        None where no module stands out: the difference grows little by little, or comes from outside of any module.

    Raises:
        ProbeError: one of both has no modules.
    """
    ours, theirs = _modules(target), _modules(reference)
    paths, found = _children(ours, ""), None
    while paths:
        pair = [_watched(one, modules, paths, call) for one, modules in ((target, ours), (reference, theirs))]
        apart = _first_apart(*pair, corridor=corridor)
        if apart is None:
            break
        path, found = apart.module, _named(apart, ours)
        paths = _children(ours, path)
    return found


def _modules(target: Any) -> dict[str, _Module]:
    """Return every module by its path in the pipeline."""
    parts = modules_of(target)
    if not parts:
        msg = f"to find the module where images part, both must hold modules, got: {type(target).__name__}"
        raise ProbeError(msg)
    return {
        ".".join(filter(None, [component, path])): module
        for component, part in parts.items()
        for path, module in part.named_modules()
    }


def _children(modules: Mapping[str, _Module], parent: str) -> tuple[str, ...]:
    """Return the modules right below one; a container that nobody calls stands for what is in it."""
    depth = parent.count(".") + 1 if parent else 0
    below = [path for path in modules if path.count(".") == depth and path.startswith(f"{parent}." if parent else "")]
    return tuple(inner for path in below for inner in _called(modules, path))


def _called(modules: Mapping[str, _Module], path: str) -> tuple[str, ...]:
    module = modules[path]
    is_container = isinstance(module, (torch.nn.ModuleList, torch.nn.ModuleDict))
    # a VAE is called by its `decode`, which runs no hook: its parts stand for it
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


def _first_apart(ours: _Trace, theirs: _Trace, *, corridor: float) -> ModuleDrift | None:
    known = theirs.numbered()
    for key, call in ours.numbered().items():
        other = known.get(key)
        if other is None:
            continue
        error, input_error = _error(call.outputs, other.outputs), _error(call.inputs, other.inputs)
        # "not (error <= corridor)", so that a NaN is outside
        if not error <= corridor and input_error <= corridor:
            return ModuleDrift(
                module=call.path, module_type="", step=call.step, relative_error=error, input_error=input_error
            )
    return None


def _named(drift: ModuleDrift, modules: Mapping[str, _Module]) -> ModuleDrift:
    return ModuleDrift(
        module=drift.module,
        module_type=type(modules[drift.module]).__name__,
        step=drift.step,
        relative_error=drift.relative_error,
        input_error=drift.input_error,
    )


def _error(ours: _Tensors, theirs: _Tensors) -> float:
    """Return the largest relative error of any tensor; tensors of other shapes, as another layout has, are no error."""
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=False) if one.shape == other.shape]
    return max((_relative(*pair) for pair in pairs), default=0.0)


def _relative(one: torch.Tensor, other: torch.Tensor) -> float:
    difference, length = float((one - other).norm()), float(other.norm())
    return difference / length if length else float(difference > 0)


def _copies(value: Any) -> _Tensors:
    """Copy every floating tensor of a call's arguments or result: a module may write into them."""
    if isinstance(value, torch.Tensor):
        return (value.detach().to("cpu", torch.float64, copy=True),) if value.dtype.is_floating_point else ()
    if isinstance(value, Mapping):
        return _copies(list(value.values()))
    if isinstance(value, (list, tuple)):
        return tuple(tensor for item in value for tensor in _copies(item))
    return ()
