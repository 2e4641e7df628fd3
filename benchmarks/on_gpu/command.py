"""What a command is: cases that are measured one by one, and a table of what was seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.on_gpu.setting import Setting

#: Why a case has no figures: memory ran out, the machine lacks what the recipe needs, or it failed.
REASONS = ("out_of_memory", "unavailable", "failed")
#: Why a case that has figures is not as it must be.
WRONG = "wrong"
#: What one case gave: figures with their units in their names, or one of the reasons why there are none.
Figures = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Something that is measured in a process of its own.

    Attributes:
        name: readable, and unique within its command.
        measure: measures it.
    """

    name: str
    measure: Callable[[], Figures]


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One thing to find out.

    Attributes:
        name: what the command line calls it.
        summary: what it finds out, in a line.
        cases: in the order in which they are measured: what is cheap and tells most comes first.
        table: writes lines of what was seen so far, by case; a case that is not there was not measured yet.
        is_always_tiny: its pipelines are tiny on the GPU too.
        least_seconds: a case that gets less is cut off before it has told anything.
    """

    name: str
    summary: str
    cases: Callable[[Setting], Sequence[Case]]
    table: Callable[[Setting, Mapping[str, Figures]], Sequence[str]]
    is_always_tiny: bool = False
    least_seconds: float = 60.0
