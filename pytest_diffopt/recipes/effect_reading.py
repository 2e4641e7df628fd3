"""Sums over the observations of a call, per step, cache context and component."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from pytest_diffopt.records import NO_CONTEXT, CallEvidence, OperationKind, Operations

#: Operations that compute with weights or activations.
WORK = frozenset({OperationKind.MATMUL, OperationKind.CONVOLUTION, OperationKind.ATTENTION})


class Observed(Protocol):
    """What was observed several times in one module and step."""

    @property
    def module(self) -> str:
        """The path of the module."""

    @property
    def step(self) -> int | None:
        """The denoise step; None outside of the loop."""

    @property
    def count(self) -> int:
        """How often."""


def work_of(call: CallEvidence, kinds: Iterable[OperationKind] = WORK) -> tuple[Operations, ...]:
    """Return the operations of some kinds; by default everything that computes with weights or activations."""
    chosen = frozenset(kinds)
    return tuple(one for one in call.operations if one.kind in chosen)


def component_of(path: str) -> str:
    """Return the component of a module's path."""
    return path.partition(".")[0]


def summed(
    seen: Iterable[Observed], call: CallEvidence, counted: Callable[[Any], int] = lambda one: int(one.count)
) -> dict[str, Any]:
    """Return `value`, `per_step` and `per_module` of an effect.

    Args:
        seen: the observations.
        call: the call, which has the number of steps.
        counted: the number of each observation.
    """
    seen = tuple(seen)
    modules: defaultdict[str, int] = defaultdict(int)
    steps: defaultdict[str, list[int]] = defaultdict(lambda: [0] * call.num_steps)
    for one in seen:
        modules[component_of(one.module)] += counted(one)
        if one.step is not None and call.num_steps:
            context: str = getattr(one, "context", NO_CONTEXT)
            steps[context][min(one.step, call.num_steps - 1)] += counted(one)
    return {
        "value": sum(map(counted, seen)),
        "per_step": {context: tuple(counts) for context, counts in steps.items()},
        "per_module": dict(modules),
    }


def empty_steps(sums: Mapping[str, Any], call: CallEvidence) -> list[str]:
    """Return a line if the effect is missing in some steps of the loop, and not in all."""
    totals = [sum(counts) for counts in zip(*sums["per_step"].values(), strict=True)]
    empty = [str(step) for step, count in enumerate(totals) if not count]
    return [f"nothing in steps {', '.join(empty)} of {call.num_steps}"] if any(totals) and empty else []
