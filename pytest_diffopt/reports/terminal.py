"""The diffopt section of pytest's terminal summary; with `-v` it has a table of all verdicts."""

from collections.abc import Iterable, Iterator

import pytest

from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.printable import printable_line
from pytest_diffopt.reports.baseline_changes import change_lines
from pytest_diffopt.reports.calibration import calibration_lines
from pytest_diffopt.reports.cold_start import cold_start_lines
from pytest_diffopt.reports.ladder_table import ladder_lines
from pytest_diffopt.reports.summary import Summary
from pytest_diffopt.session.ledger import Ledger, LedgerEntry

_COLORS = {
    Outcome.PASSED: "green",
    Outcome.IMPROVED: "cyan",
    Outcome.REGRESSED: "red",
    Outcome.MISSING: "red",
    Outcome.UNWATCHED: "red",
}
_OTHER_COLOR = "yellow"


def write_summary(
    terminal: pytest.TerminalReporter, summary: Summary, *, heading: Iterable[str] = (), is_verbose: bool
) -> None:
    """Write the section: verdicts, calibrations, cold starts, ladders, baseline changes and unmet requirements.

    Args:
        terminal: pytest's terminal reporter.
        summary: the findings of the session.
        heading: lines above the verdicts.
        is_verbose: list all verdicts; otherwise only those that did not pass.
    """
    entries = summary.ledger.entries
    shown = [entry for entry in entries if is_verbose or entry.verdict.outcome is not Outcome.PASSED]
    terminal.section("diffopt", sep="=")
    for line in heading:
        terminal.write_line(printable_line(line))
    for entry, line in zip(shown, table_lines(shown), strict=True):
        terminal.write_line(line, **{_COLORS.get(entry.verdict.outcome, _OTHER_COLOR): True})
    changes = change_lines(summary.baselines) if summary.baselines is not None else ()
    for line in (*calibration_lines(entries), *cold_start_lines(entries), *ladder_lines(entries), *changes):
        terminal.write_line(printable_line(line))
    terminal.write_line(total_line(summary.ledger))
    if summary.ledger.expected:
        failures = counted(summary.ledger.expected.total(), "failed verdict")
        terminal.write_line(f"{failures} that a test expected (pytest.raises, xfail): not counted")
    for unmet_requirement in summary.unmet_requirements:
        line = printable_line(f"not proven: {unmet_requirement.text}")
        terminal.write_line(line, **{"red" if unmet_requirement.is_failure else _OTHER_COLOR: True})


def table_lines(entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Yield one line for each verdict, with aligned columns: outcome, concern, pipeline, recipe, figure."""
    rows = [tuple(map(printable_line, _row(entry))) for entry in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    for row in rows:
        yield "  ".join([*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[-1]]).rstrip()


def total_line(ledger: Ledger) -> str:
    """Return one line, such as `24 verdicts: 23 passed, 1 regressed`."""
    counts = ledger.counts()
    parts = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    return f"{counted(len(ledger.entries), 'verdict')}{': ' if parts else ''}{parts}"


def _row(entry: LedgerEntry) -> tuple[str, ...]:
    verdict = entry.verdict
    scale = f" ({verdict.subject.scale})" if verdict.subject.scale else ""
    return (
        verdict.outcome,
        verdict.concern,
        verdict.subject.pipeline + scale,
        verdict.subject.recipe,
        verdict.summary,
    )
