"""How long compiling took before the first picture: the whole model beside its repeated blocks."""

import re
from collections.abc import Iterable, Iterator

from pytest_diffopt.guards.explain import factor, time
from pytest_diffopt.ledger import LedgerEntry
from pytest_diffopt.records import Concern

_REGIONAL = re.compile(r",? ?regional=True")
_NO_ARGUMENTS = "compile()"


def cold_start_lines(entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Yield one line for each pipeline that was compiled both ways in this session."""
    by_recipe: dict[tuple[str, str, str], dict[bool, float]] = {}
    for entry in entries:
        verdict = entry.verdict
        spent = verdict.figures.get("compile_ns", 0.0)
        if verdict.concern is Concern.GRAPH_BREAKS and spent:
            recipe = _whole(verdict.subject.recipe)
            key = verdict.subject.pipeline, verdict.subject.scale, recipe
            by_recipe.setdefault(key, {})[recipe != verdict.subject.recipe] = spent
    for (pipeline, scale, recipe), spent_ns in by_recipe.items():
        if len(spent_ns) == 2:  # noqa: PLR2004 - compiled both ways
            whole, regional = spent_ns[False], spent_ns[True]
            yield (
                f"cold start of {pipeline}{f' ({scale})' if scale else ''}, {recipe}: whole {time(whole)}, "
                f"regional {time(regional)} ({factor(whole / regional)} as fast)"
            )


def _whole(recipe: str) -> str:
    """Return the same recipe without regional compilation."""
    return _REGIONAL.sub("", recipe).replace("compile(, ", "compile(").replace(_NO_ARGUMENTS, "compile")
