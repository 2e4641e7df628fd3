"""What a person reads first: what is wrong, how much of what was looked at, and what was not looked at."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_diffopt.guards.explain import counted
from pytest_diffopt.guards.verdict import UNPROVEN, Outcome
from pytest_diffopt.ledger import Ending, UnjudgedTest
from pytest_diffopt.records import Concern
from pytest_diffopt.reports.page.cases import Case


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """One thing that is wrong, in every case in which it was seen.

    Attributes:
        concern: of what.
        headline: what is wrong.
        cases: where.
    """

    concern: Concern
    headline: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What became of one concern of one pipeline.

    Attributes:
        outcome: the worst verdict.
        is_red: whether a test failed by it.
        num_good: how many verdicts are no trouble.
        num_all: how many there are.
        anchor: the worst case.
    """

    outcome: Outcome
    is_red: bool
    num_good: int
    num_all: int
    anchor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The head of the page.

    Attributes:
        state: the class of the stylesheet: `bad`, `unsure` or `good`.
        headline: the whole report in one line.
        details: how many of what.
        troubles: what is wrong, the worst first.
        concerns: the columns of the table.
        rows: each pipeline with a cell for each column, None where nothing was judged.
        failed: the tests that failed without a verdict that says why.
        skipped: the tests that were skipped.
        environment_changes: the versions that are not those of baselines, each with how many cases have them.
    """

    state: str
    headline: str
    details: str
    troubles: tuple[Trouble, ...]
    concerns: tuple[Concern, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    failed: tuple[UnjudgedTest, ...]
    skipped: tuple[UnjudgedTest, ...]
    environment_changes: tuple[tuple[str, int], ...]


def overview(cases: Sequence[Case], unjudged: Sequence[UnjudgedTest]) -> Overview:
    """Sum a report up.

    Args:
        cases: the worst first.
        unjudged: what ended without a verdict.
    """
    failed = tuple(test for test in unjudged if test.ending is Ending.FAILED)
    skipped = tuple(test for test in unjudged if test.ending is Ending.SKIPPED)
    concerns = tuple(concern for concern in Concern if any(case.verdict.concern is concern for case in cases))
    return Overview(
        state=_state(cases, failed, skipped),
        headline=_headline(cases, failed),
        details=_details(cases, skipped),
        troubles=_troubles(cases),
        concerns=concerns,
        rows=_rows(cases, concerns),
        failed=failed,
        skipped=skipped,
        environment_changes=_environment_changes(cases),
    )


def _state(cases: Sequence[Case], failed: Sequence[UnjudgedTest], skipped: Sequence[UnjudgedTest]) -> str:
    if failed or any(case.verdict.is_red for case in cases):
        return "bad"
    is_unsure = not cases or skipped or any(case.verdict.outcome in UNPROVEN for case in cases)
    return "unsure" if is_unsure else "good"


def _headline(cases: Sequence[Case], failed: Sequence[UnjudgedTest]) -> str:
    red = sum(case.verdict.is_red for case in cases)
    broken = f"{counted(len(failed), 'test')} failed without a verdict" if failed else ""
    if red:
        return " and ".join(filter(None, [f"{red} of {counted(len(cases), 'check')} failed", broken]))
    if broken:
        return broken
    unproven = sum(case.verdict.outcome in UNPROVEN for case in cases)
    if unproven:
        return f"Nothing failed, and {unproven} of {counted(len(cases), 'check')} proved nothing"
    return f"{_all(len(cases))} passed" if cases else "Nothing was checked"


def _all(number: int) -> str:
    return "The only check" if number == 1 else f"All {number} checks"


def _details(cases: Sequence[Case], skipped: Sequence[UnjudgedTest]) -> str:
    found = Counter(case.verdict.outcome for case in cases)
    parts = [f"{found[outcome]} {outcome}" for outcome in Outcome if found[outcome]]
    return ", ".join([*parts, *([f"{counted(len(skipped), 'test')} skipped"] if skipped else [])])


def _troubles(cases: Sequence[Case]) -> tuple[Trouble, ...]:
    groups: dict[tuple[Concern, str], list[Case]] = {}
    for case in cases:
        if case.verdict.is_red:
            groups.setdefault((case.verdict.concern, case.headline), []).append(case)
    return tuple(
        Trouble(concern=concern, headline=headline, cases=tuple(group)) for (concern, headline), group in groups.items()
    )


def _rows(cases: Sequence[Case], concerns: Sequence[Concern]) -> tuple[tuple[str, tuple[Cell | None, ...]], ...]:
    groups: dict[str, dict[Concern, list[Case]]] = {}
    for case in cases:
        groups.setdefault(case.pipeline, {}).setdefault(case.verdict.concern, []).append(case)
    return tuple(
        (pipeline, tuple(_cell(found.get(concern, [])) for concern in concerns))
        for pipeline, found in sorted(groups.items())
    )


def _cell(cases: Sequence[Case]) -> Cell | None:
    """Sum up; the cases come the worst first."""
    if not cases:
        return None
    worst = cases[0]
    good = sum(not case.verdict.is_red and case.verdict.outcome not in UNPROVEN for case in cases)
    return Cell(
        outcome=worst.verdict.outcome,
        is_red=worst.verdict.is_red,
        num_good=good,
        num_all=len(cases),
        anchor=worst.anchor,
    )


def _environment_changes(cases: Sequence[Case]) -> tuple[tuple[str, int], ...]:
    lines = Counter(" ".join(line.split()) for case in cases for line in case.verdict.environment_changes)
    return tuple(lines.most_common())
