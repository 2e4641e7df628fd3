"""Cold start: the compile time before the first image, whole-model and regional compilation compared."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_diffopt.guards.failure_text import factor, time
from pytest_diffopt.records import Concern
from pytest_diffopt.session.ledger import LedgerEntry

_REGIONAL = re.compile(r",? ?regional=True")
_NO_ARGUMENTS = "compile()"


@dataclass(frozen=True, kw_only=True, slots=True)
class ColdStart:
    """The compile time before the first image, with whole-model and with regional compilation.

    Attributes:
        pipeline: the pipeline and its scale.
        recipe: the applied recipe, without `regional=True`.
        whole_ns: compile time of the whole model.
        regional_ns: compile time of the repeated blocks.
    """

    pipeline: str
    recipe: str
    whole_ns: float
    regional_ns: float

    @property
    def speed_up(self) -> float:
        """How many times as fast regional compilation is."""
        return self.whole_ns / self.regional_ns

    def __str__(self) -> str:
        """Return the line for the terminal."""
        return (
            f"cold start of {self.pipeline}, {self.recipe}: whole {time(self.whole_ns)}, "
            f"regional {time(self.regional_ns)} ({factor(self.speed_up)} as fast)"
        )


def cold_start_lines(entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Yield one line for each pipeline that was compiled whole and regionally in this session."""
    yield from map(str, cold_starts(entries))


def cold_starts(entries: Iterable[LedgerEntry]) -> Iterator[ColdStart]:
    """Yield the figures of each pipeline that was compiled whole and regionally in this session."""
    by_recipe: dict[tuple[str, str, str], dict[bool, float]] = {}
    for entry in entries:
        verdict = entry.verdict
        spent = verdict.figures.get("compile_ns", 0.0)
        if verdict.concern is Concern.GRAPH_BREAKS and spent:
            recipe = _whole(verdict.subject.recipe)
            key = verdict.subject.pipeline, verdict.subject.scale, recipe
            by_recipe.setdefault(key, {})[recipe != verdict.subject.recipe] = spent
    for (pipeline, scale, recipe), spent_ns in by_recipe.items():
        if len(spent_ns) == 2:  # noqa: PLR2004 - whole and regional
            name = pipeline + (f" ({scale})" if scale else "")
            yield ColdStart(pipeline=name, recipe=recipe, whole_ns=spent_ns[False], regional_ns=spent_ns[True])


def _whole(recipe: str) -> str:
    """Return the recipe without `regional=True`."""
    return _REGIONAL.sub("", recipe).replace("compile(, ", "compile(").replace(_NO_ARGUMENTS, "compile")
