"""The calls of a pipeline's denoisers, and what each ran on the watched device."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from pytest_diffopt._torch_private.compiled_code import call_wrapped, is_called_by_torch
from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE
from pytest_diffopt.pipelines.components import DENOISER, component_names, modules_of
from pytest_diffopt.probes.step_operations import per_step
from pytest_diffopt.records import DenoiserEvidence

_HOST = frozenset({"cpu", "meta"})
_SIMULATED = {DEVICE_TYPE: "the simulated GPU"}
_Call = Callable[..., Any]


class DenoiserCalls:
    """Counts the calls of denoisers and their operations, by step.

    Args:
        names: the denoisers.
        step: returns the current step; None outside of the loop.
        operations: returns the number of operations of this process on the watched device so far.
    """

    def __init__(self, names: tuple[str, ...], step: Callable[[], int | None], operations: Callable[[], int]) -> None:
        self._step = step
        self._so_far = operations
        self._calls: dict[str, Counter[int]] = {name: Counter() for name in names}
        self._operations: dict[str, Counter[int]] = {name: Counter() for name in names}
        self._elsewhere: dict[str, None] = {}

    def counted(self, name: str, module: torch.nn.Module, call: _Call) -> _Call:
        """Return a call of a denoiser that is counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():
                return call(*args, **kwargs)
            before = self._so_far()
            result = call(*args, **kwargs)
            step = self._step()  # after the call, which enters a loop without a progress bar
            if step is not None:
                self._note(name, module, step, self._so_far() - before)
            return result

        return counted

    def _note(self, name: str, module: torch.nn.Module, step: int, operations: int) -> None:
        self._calls[name][step] += 1
        self._operations[name][step] += operations
        if not operations:
            self._elsewhere[f"{name}: {_weights_of(module)}"] = None

    def names_by_step(self, num_steps: int) -> tuple[str, ...]:
        """Return the denoiser that was called in each step, as `DenoiserEvidence` has it; empty without a denoiser."""
        evidence = self.evidence(num_steps)
        return evidence.names_by_step if evidence else ()

    def evidence(self, num_steps: int) -> DenoiserEvidence | None:
        """Return what was counted; None without a denoiser. Work after the last update belongs to the last step."""
        if not self._calls:
            return None
        return DenoiserEvidence(
            calls={name: per_step(calls, num_steps) for name, calls in self._calls.items()},
            operations={name: per_step(operations, num_steps) for name, operations in self._operations.items()},
            elsewhere=tuple(self._elsewhere),
        )


@contextmanager
def watch_denoisers(
    target: Any, step: Callable[[], int | None], operations: Callable[[], int] = lambda: 0
) -> Iterator[DenoiserCalls]:
    """Count the calls of a pipeline's denoisers while the block runs; a target without denoisers has none.

    Args:
        target: the pipeline; a bare module or callable has no denoisers.
        step: returns the current step; None outside of the loop.
        operations: returns the number of operations of this process on the watched device so far; by default none is
            counted, for a probe that needs only the names of the denoisers.
    """
    modules = {} if isinstance(target, torch.nn.Module) else modules_of(target)
    names = tuple(name for name in component_names(target, DENOISER) if is_called_by_torch(modules.get(name)))
    calls = DenoiserCalls(names, step, operations)
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(call_wrapped(modules[name], partial(calls.counted, name, modules[name])))
        yield calls


def _weights_of(module: torch.nn.Module) -> str:
    """Return where the weights are of a module that ran nothing on the watched device."""
    device = next((parameter.device for parameter in module.parameters()), None)
    if device is None:
        return "no weights, and computed elsewhere"
    if device.type in _HOST:
        return f"weights on {device}"
    return f"weights on {_SIMULATED.get(device.type, device)}, but computed elsewhere"
