"""Calls of a pipeline's modules, counted by step and cache context."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from pytest_diffopt.probes.call_position import CallPosition, Frame, weighted
from pytest_diffopt.records import ModuleCalls

_ADAPTER = "lora_B"
# torch warns that a module wrapped by `torch.compile(module)` runs global hooks twice: once for the wrapper, which is
# no module of the pipeline's parts, or is counted apart from the one that it wraps.
_WARNING_OF_WRAPPED = "Using `torch.compile"


class ModuleTrace:
    """Counts the calls of every module of a pipeline while the block of `watching` runs.

    The hooks are torch's global ones, so no module is changed. Compiled code does not run them.

    Args:
        modules: the components by name.
        position: the position of the call, which the trace keeps up to date.
        on_entry: called with a module when it starts.
        has_values: whether tensors have values, so that outputs of adapters can be read.
    """

    def __init__(
        self,
        modules: Mapping[str, torch.nn.Module],
        position: CallPosition,
        on_entry: Callable[[torch.nn.Module], None],
        *,
        has_values: bool,
    ) -> None:
        self._position = position
        self._on_entry = on_entry
        self._has_values = has_values
        self._paths = {
            id(module): f"{component}.{path}" if path else component
            for component, root in modules.items()
            for path, module in root.named_modules()
        }
        self._weighted = {id(module): weighted(module) for root in modules.values() for module in root.modules()}
        self._stored: dict[tuple[Any, ...], list[int]] = {}
        self._dtypes: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the block runs."""
        entered = register_module_forward_pre_hook(self._enter)
        left = register_module_forward_hook(self._leave, always_call=True)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=_WARNING_OF_WRAPPED, category=UserWarning)
                yield
        finally:
            entered.remove()
            left.remove()

    def calls(self) -> tuple[ModuleCalls, ...]:
        """Return what was counted so far."""
        return tuple(
            ModuleCalls(
                module=path,
                kind=kind,
                step=step,
                context=context,
                stored_dtype=dtype,
                count=count,
                skipped=skipped,
                zero_outputs=zeros,
            )
            for (path, kind, step, context, dtype), (count, skipped, zeros) in self._stored.items()
        )

    def _enter(self, module: torch.nn.Module, _inputs: Any) -> None:
        path = self._paths.get(id(module))
        if path is None:
            return
        self._on_entry(module)
        self._position.frames.append(Frame(path=path))
        weight = vars(module).get("_parameters", {}).get("weight")
        self._dtypes.append("" if weight is None else str(weight.dtype).removeprefix("torch."))

    def _leave(self, module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        path = self._paths.get(id(module))
        frames = self._position.frames
        if path is None or not frames or frames[-1].path != path:
            return
        frame, dtype = frames.pop(), self._dtypes.pop()
        if frames:
            frames[-1].ran_work |= frame.ran_work
        key = (path, type(module).__name__, self._position.step, self._position.context, dtype)
        counts = self._stored.setdefault(key, [0, 0, 0])
        counts[0] += 1
        counts[1] += self._weighted[id(module)] and not frame.ran_work
        counts[2] += self._has_values and _ADAPTER in path and _is_zero(output)


def _is_zero(output: Any) -> bool:
    """Return whether an output has only zeros: an adapter whose weights were never trained or loaded."""
    return isinstance(output, torch.Tensor) and not output.count_nonzero().item()
