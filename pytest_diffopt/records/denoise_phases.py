"""The names of a call's phases: `before the loop`, `step 0`, `steps 1-29`, `after the loop`."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

BEFORE_LOOP = "before the loop"
AFTER_LOOP = "after the loop"
WHOLE_CALL = "the call"
_STEP, _STEPS = "step ", "steps "

_Counts = TypeVar("_Counts")


def merged_steps(counted: Mapping[Hashable, _Counts]) -> tuple[tuple[str, _Counts], ...]:
    """Name the phases and merge consecutive equal steps; the first step stays separate, for it often does more.

    Args:
        counted: what was counted in each phase: a step's number from 0, or a name; the phase None is left out.
    """
    rows: list[tuple[list[Hashable], _Counts]] = []
    for phase, counts in counted.items():
        if phase is None:
            continue
        both_are_later_steps = rows and _is_later_number(phase) and _is_later_number(rows[-1][0][0])
        if both_are_later_steps and rows[-1][1] == counts:
            rows[-1][0].append(phase)
        else:
            rows.append(([phase], counts))
    return tuple((_name(phases), counts) for phases, counts in rows)


def step_range(steps: Sequence[int]) -> str:
    """Return the name of consecutive steps: `step 0`, `steps 1-29`."""
    return f"{_STEP}{steps[0]}" if len(steps) == 1 else f"{_STEPS}{steps[0]}-{steps[-1]}"


def by_step(phases: Mapping[str, _Counts]) -> dict[str, _Counts]:
    """Expand each group of steps into single steps."""
    return {one: counts for phase, counts in phases.items() for one in single_steps(phase)}


def single_steps(phase: str) -> list[str]:
    """Return the single steps of a group of steps; another phase is returned alone."""
    if not phase.startswith(_STEPS):
        return [phase]
    first, last = phase.removeprefix(_STEPS).split("-")
    return [f"{_STEP}{number}" for number in range(int(first), int(last) + 1)]


def grouped_steps(phases: Sequence[str]) -> list[str]:
    """Return consecutive later steps as one phase, and other phases unchanged."""
    numbers = [int(phase.removeprefix(_STEP)) for phase in phases if is_later_step(phase)]
    if len(numbers) == len(phases) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return [f"{_STEPS}{numbers[0]}-{numbers[-1]}"]
    return list(phases)


def is_later_step(phase: str) -> bool:
    """Return whether a phase is a single step after the first."""
    return phase.startswith(_STEP) and phase != f"{_STEP}0"


def _is_later_number(phase: Hashable) -> bool:
    return isinstance(phase, int) and phase > 0


def _name(phases: Sequence[Hashable]) -> str:
    numbers = [phase for phase in phases if isinstance(phase, int)]
    return step_range(numbers) if numbers else str(phases[0])
