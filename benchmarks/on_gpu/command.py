"""The definition of a command: cases that are measured one by one, and a table of their figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.on_gpu.setting import Setting

#: Keys of a case without figures: out of memory, the machine cannot run the recipe, or an error.
REASONS = ("out_of_memory", "unavailable", "failed")
#: Key of a case whose figures are not as expected.
WRONG = "wrong"
#: The result of one case: figures with units in their names, or one of `REASONS`.
Figures = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A case, which is measured in a separate process.

    Attributes:
        name: readable, and unique within its command.
        measure: measures the case.
    """

    name: str
    measure: Callable[[], Figures]


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: name on the command line.
        summary: summary in one line.
        cases: returns the cases in the order of measuring: cheap and informative ones first.
        table: returns the lines of the table from the figures so far, by case; unmeasured cases are missing.
        is_always_tiny: whether its pipelines are also tiny on the GPU.
        least_seconds: a case with less time would be cut off without a result.
    """

    name: str
    summary: str
    cases: Callable[[Setting], Sequence[Case]]
    table: Callable[[Setting, Mapping[str, Figures]], Sequence[str]]
    is_always_tiny: bool = False
    least_seconds: float = 60.0
