"""The head of the page: state, headline, failures grouped by problem, and a table by pipeline and concern."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.verdict import UNPROVEN, Outcome
from pytest_diffopt.records import Concern
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.page.cases import Case


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One problem, with every case that has it.

    Attributes:
        concern: the concern of the verdicts.
        headline: the common headline of the verdicts.
        cases: the cases.
    """

    concern: Concern
    headline: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """The verdicts of one concern of one pipeline.

    Attributes:
        outcome: the worst outcome.
        is_failure: whether the worst verdict fails its test.
        num_good: number of verdicts that neither fail nor prove nothing.
        num_all: number of verdicts.
        anchor: anchor of the worst case.
    """

    outcome: Outcome
    is_failure: bool
    num_good: int
    num_all: int
    anchor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The head of the page.

    Attributes:
        state: CSS class of the banner: `bad`, `unsure` or `good`.
        headline: the whole report in one line.
        details: number of verdicts of each outcome, and of skipped tests.
        problems: the failures, grouped by concern and headline, the worst first.
        concerns: the columns of the table.
        rows: each pipeline with a cell for each column, None without verdicts.
        environment_changes: differences from the environments of baselines, each with its number of cases.
    """

    state: str
    headline: str
    details: str
    problems: tuple[Problem, ...]
    concerns: tuple[Concern, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    environment_changes: tuple[tuple[str, int], ...]


def overview(cases: Sequence[Case], report: Report) -> Overview:
    """Summarize a report.

    Args:
        cases: its verdicts, the worst first.
        report: the report.
    """
    concerns = tuple(concern for concern in Concern if any(case.verdict.concern is concern for case in cases))
    return Overview(
        state=_state(cases, report),
        headline=_headline(cases, report),
        details=_details(cases, report),
        problems=_problems(cases),
        concerns=concerns,
        rows=_rows(cases, concerns),
        environment_changes=_environment_changes(cases),
    )


def _state(cases: Sequence[Case], report: Report) -> str:
    is_bad = report.broken or any(case.verdict.is_failure for case in cases)
    if is_bad or any(unmet_requirement.is_failure for unmet_requirement in report.unmet_requirements):
        return "bad"
    is_unsure = not cases or any(case.verdict.outcome in UNPROVEN for case in cases)
    return "unsure" if is_unsure else "good"


def _headline(cases: Sequence[Case], report: Report) -> str:
    num_failed = sum(case.verdict.is_failure for case in cases)
    checks = counted(len(cases), "check")
    bad = [
        f"{num_failed} of {checks} failed" if num_failed else "",
        f"{counted(len(report.broken), 'test')} failed without a verdict" if report.broken else "",
        "a requirement was not met"
        if any(unmet_requirement.is_failure for unmet_requirement in report.unmet_requirements)
        else "",
    ]
    if any(bad):
        text = " and ".join(filter(None, bad))
        return text[0].upper() + text[1:]
    unproven = sum(case.verdict.outcome in UNPROVEN for case in cases)
    if unproven:
        return f"Nothing failed, but {unproven} of {checks} proved nothing"
    skipped = f", {counted(len(report.skipped), 'test')} skipped" if report.skipped else ""
    return f"{_all(len(cases))} passed{skipped}" if cases else "Nothing was checked"


def _all(number: int) -> str:
    return "The only check" if number == 1 else f"All {number} checks"


def _details(cases: Sequence[Case], report: Report) -> str:
    found = Counter(case.verdict.outcome for case in cases)
    parts = [f"{found[outcome]} {outcome}" for outcome in Outcome if found[outcome]]
    skipped = [f"{counted(len(report.skipped), 'test')} skipped"] if report.skipped else []
    return ", ".join([*parts, *skipped])


def _problems(cases: Sequence[Case]) -> tuple[Problem, ...]:
    groups: dict[tuple[Concern, str], list[Case]] = {}
    for case in cases:
        if case.verdict.is_failure:
            groups.setdefault((case.verdict.concern, case.headline), []).append(case)
    return tuple(
        Problem(concern=concern, headline=headline, cases=tuple(group)) for (concern, headline), group in groups.items()
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
    """Summarize cases, which are sorted with the worst first."""
    if not cases:
        return None
    worst = cases[0]
    good = sum(not case.verdict.is_failure and case.verdict.outcome not in UNPROVEN for case in cases)
    return Cell(
        outcome=worst.verdict.outcome,
        is_failure=worst.verdict.is_failure,
        num_good=good,
        num_all=len(cases),
        anchor=worst.anchor,
    )


def _environment_changes(cases: Sequence[Case]) -> tuple[tuple[str, int], ...]:
    lines = Counter(" ".join(line.split()) for case in cases for line in case.verdict.environment_changes)
    return tuple(lines.most_common())
