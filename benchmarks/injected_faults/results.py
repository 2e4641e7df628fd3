"""Format trials as a console table, as Markdown for the docs and as JSON."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.injected_faults.catalogue import SUBJECTS
from benchmarks.injected_faults.declaring import InjectedFault
from benchmarks.injected_faults.guarding import Guard
from benchmarks.injected_faults.slices import SliceCheck
from benchmarks.injected_faults.trials import Trial

REQUIRED_SHARE = 0.95
_IMAGE_GUARDS = frozenset({Guard.IMAGE, Guard.STORED_IMAGE, Guard.OWN_IMAGE})
_USUAL = {"cosine": "cosine", "within_1e3": "1e-3", "within_1e2": "1e-2"}


def usual_words(check: SliceCheck) -> str:
    """Return the variants of diffusers' check that fail."""
    return ", ".join(words for name, words in _USUAL.items() if getattr(check, name)) or "-"


def passes(trials: Sequence[Trial]) -> bool:
    """Return whether at least `REQUIRED_SHARE` of the faults are caught."""
    return sum(bool(trial.caught_by) for trial in trials) >= REQUIRED_SHARE * len(trials)


def console_table(trials: Sequence[Trial]) -> list[str]:
    """Return aligned lines, one for each fault."""
    rows = [("fault", "caught by", "diffusers' usual check"), *(_cells(trial) for trial in trials)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{name:<{widths[0]}}  {caught:<{widths[1]}}  {usual}" for name, caught, usual in rows]


def _cells(trial: Trial) -> tuple[str, str, str]:
    return trial.fault.name, ", ".join(trial.caught_by) or "NOT CAUGHT", usual_words(trial.image.usual_check)


def markdown(trials: Sequence[Trial]) -> list[str]:
    """Return the totals and a table for each subject, for the docs; the tables contain every declared fault."""
    lines: list[str] = [*totals(trials), ""]
    tried = {trial.fault.name: trial for trial in trials}
    for subject, faults in SUBJECTS.items():
        lines += [f"### {subject[0].upper()}{subject[1:]}", "", *_markdown_table(faults, tried), ""]
    return lines[:-1]


def _markdown_table(faults: Sequence[InjectedFault], tried: Mapping[str, Trial]) -> Iterator[str]:
    yield "| fault | imitates | injected into | caught by | diffusers' usual check |"
    yield "| --- | --- | --- | --- | --- |"
    for fault in faults:
        precedent = f" ({fault.precedent})" if fault.precedent else ""
        trial = tried.get(fault.name)
        _, caught, usual = _cells(trial) if trial else ("", "not tried in this run", "-")
        yield f"| `{fault.name}` | {fault.imitates}{precedent} | `{fault.pipeline}` | {caught} | {usual} |"


def totals(trials: Sequence[Trial]) -> list[str]:
    """Return the totals as a list in Markdown."""
    caught = [trial for trial in trials if trial.caught_by]
    changed = [trial for trial in trials if trial.image.is_changed]
    by_image = [trial for trial in changed if _IMAGE_GUARDS & set(trial.caught_by)]
    each = [
        f"{sum(guard in trial.caught_by for trial in changed)} by the {guard}"
        for guard in (Guard.IMAGE, Guard.STORED_IMAGE, Guard.OWN_IMAGE)
    ]
    uncounted = [trial for trial in trials if set(trial.caught_by) - {Guard.COUNTS}]
    usual = [
        f"{_of(sum(getattr(trial.image.usual_check, name) for trial in trials), len(trials))} by {words}"
        for name, words in _USUAL.items()
    ]
    missed = f"; not caught: {_names(trials, caught)}" if len(caught) < len(trials) else ""
    return [
        f"- **{_of(len(caught), len(trials))} caught** by at least one guard{missed}",
        f"- {_of(len(uncounted), len(trials))} without the counts guard, which also counts operations of the injection",
        f"- {len(changed)} change the image; image guards catch {_of(len(by_image), len(changed))} of these",
        f"- caught of these: {', '.join(each)}",
        f"- diffusers' usual check: {', '.join(usual)}",
    ]


def _of(number: int, total: int) -> str:
    return f"{number} of {total} ({100 * number / total:.0f} %)" if total else "0 of 0"


def _names(trials: Sequence[Trial], caught: Sequence[Trial]) -> str:
    return ", ".join(f"`{trial.fault.name}`" for trial in trials if trial not in caught)


def as_plain(trial: Trial) -> dict[str, Any]:
    """Return all results of a trial as plain data for JSON."""
    fault = trial.fault
    return {
        "fault": fault.name,
        "imitates": fault.imitates,
        "precedent": fault.precedent,
        "pipeline": fault.pipeline,
        "recipe": fault.recipe,
        "caught_by": [guard.value for guard in trial.caught_by],
        "checks": {
            check.guard.value: {
                "outcome": check.outcome.value,
                "headline": check.headline,
                "figures": {name: _finite(value) for name, value in check.figures.items()},
            }
            for check in trial.checks
        },
        "changes_image": trial.image.is_changed,
        "usual_check": {name: getattr(trial.image.usual_check, name) for name in _USUAL},
    }


def _finite(value: float) -> float | None:
    """Return a figure, or None where JSON has no number for it."""
    return value if math.isfinite(value) else None
