"""The figures of a call's phases that differ from the accepted ones."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from pytest_diffopt.guards.verdict import FigureChange
from pytest_diffopt.records.denoise_phases import by_step, grouped_steps, is_later_step

PhaseFigures = Mapping[str, Mapping[str, int]]


def phase_changes(now: PhaseFigures, accepted: PhaseFigures, *, same_steps: bool) -> Iterator[FigureChange]:
    """Yield what changed in each phase; where the number of steps differs, only in the phases that both have.

    Steps are compared one by one, because equal steps may be grouped differently in the record and in the baseline.
    Later steps with equal changes are then grouped again. The first step often does more, so it stays separate.

    Args:
        now: the figures of each phase, by name.
        accepted: the accepted figures of each phase.
        same_steps: whether both have the same number of steps.
    """
    now, accepted = by_step(now), by_step(accepted)
    changed = [
        (phase, list(figure_changes("", accepted.get(phase, {}), now.get(phase, {}))))
        for phase in dict.fromkeys([*now, *accepted])
        if same_steps or (phase in now and phase in accepted)
    ]
    for (_, alike), group in groupby(changed, key=lambda one: (is_later_step(one[0]), one[1])):
        where = grouped_steps([phase for phase, _ in group])
        yield from (replace(one, where=place) for place in where for one in alike)


def figure_changes(where: str, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[FigureChange]:
    """Yield the figures that differ; a missing one is zero."""
    for figure in dict.fromkeys([*before, *after]):
        old, new = before.get(figure, 0), after.get(figure, 0)
        if old != new:
            yield FigureChange(where=where, figure=figure, before=old, after=new)
