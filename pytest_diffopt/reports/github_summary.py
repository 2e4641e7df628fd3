"""The Markdown summary of a session: for the page of a GitHub Actions run, and for a comment."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.reports import baseline_changes
from pytest_diffopt.reports.figures import compared_figures
from pytest_diffopt.reports.json_report import invalid_figures_refused, read_json_report
from pytest_diffopt.reports.markdown import code, fenced, folded, head, linked, row, text
from pytest_diffopt.reports.order import anchored
from pytest_diffopt.reports.summary import Summary, summary_of
from pytest_diffopt.reports.terminal import total_line
from pytest_diffopt.session.ledger import BrokenTest, CaseResult, LedgerEntry

#: GitHub rejects the whole summary of a step if it is larger.
SUMMARY_LIMIT_BYTES = 1024 * 1024
#: GitHub rejects a comment of more than 65,536 characters; the rest is for the marker and the link.
COMMENT_LIMIT_BYTES = 63_000
# Room for the note about omitted items.
_RESERVED_BYTES = 200
_SHOWN_TESTS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    """A section whose last items can be omitted.

    Attributes:
        opening: Markdown before the items.
        items: Markdown of each item, the worst first.
        noun: singular noun for an item, used in the note about omitted items.
        closing: Markdown after the items.
    """

    opening: str
    items: Sequence[str]
    noun: str
    closing: str = ""


def render(summary: Summary, *, limit_bytes: int = SUMMARY_LIMIT_BYTES) -> str:
    """Return the summary, the worst findings first; items that exceed the limit are omitted, with a note."""
    written = ""
    for section in _sections(summary):
        written += _fitted(section, limit_bytes - len(written.encode()))
    return written


def render_folder(folder: Path, *, page: str = "", limit_bytes: int = SUMMARY_LIMIT_BYTES) -> str:
    """Return the summary of the report in a folder.

    Args:
        folder: the folder of the report.
        page: URL of the report's page; empty if unknown.
        limit_bytes: the size that the summary may have.

    Raises:
        ReportError: the report cannot be read or is invalid.
    """
    report = read_json_report(folder)
    with invalid_figures_refused(folder):
        return render(summary_of(report, page=page), limit_bytes=limit_bytes)


def write_summary_file(path: Path, written: str) -> None:
    """Write a summary into a file, replacing its content.

    Raises:
        DiffoptError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written, encoding="utf-8")
    except OSError as error:
        msg = f"--diffopt-summary must name a file that can be written, got: {path} ({error.strerror})"
        raise DiffoptError(msg) from error


def append_step_summary(path: Path, summary: Summary) -> None:
    """Append the summary to the step's file; all commands of the step share GitHub's size limit.

    Raises:
        DiffoptError: the file cannot be written.
    """
    try:
        taken = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8") as file:
            file.write(render(summary, limit_bytes=SUMMARY_LIMIT_BYTES - taken))
    except OSError as error:
        msg = f"GITHUB_STEP_SUMMARY names a file that cannot be written, got: {path} ({error.strerror})"
        raise DiffoptError(msg) from error


def _fitted(section: _Section, room_bytes: int) -> str:
    """Return a section with as many items as fit."""
    frame = len(section.opening.encode()) + len(section.closing.encode()) + _RESERVED_BYTES
    room = room_bytes - frame
    if room < 0:
        return ""
    kept: list[str] = []
    for item in section.items:
        room -= len(item.encode()) + 1
        if room < 0:
            break
        kept.append(item)
    missing = len(section.items) - len(kept)
    note = f"\n{counted(missing, section.noun)} omitted: GitHub accepts no larger summary.\n" if missing else ""
    return "\n".join([section.opening, *kept]) + section.closing + "\n" + note + "\n"


def _sections(summary: Summary) -> Iterator[_Section]:
    entries = anchored(summary.ledger.entries)
    bad = [(anchor, entry) for anchor, entry in entries if entry.verdict.outcome is not Outcome.PASSED]
    good = [(anchor, entry) for anchor, entry in entries if entry.verdict.outcome is Outcome.PASSED]
    yield _headline(summary)
    if summary.unmet_requirements:
        yield _not_proven(summary)
    if summary.baselines is not None:
        yield _baselines(summary.baselines)
    if bad:
        yield _Section(opening=_table_head(summary), items=_verdict_rows(summary, bad), noun="verdict")
        explanations = [_details(summary, anchor, entry) for anchor, entry in bad]
        yield _Section(opening="", items=explanations, noun="explanation")
    if summary.ledger.broken:
        yield _broken(summary)
    if summary.sessions:
        yield _sessions(summary)
    if summary.ledger.skipped():
        yield _skipped(summary)
    if good:
        yield _passed(summary, good)


def _headline(summary: Summary) -> _Section:
    figures = f"{text(total_line(summary.ledger))}\n\n{text(summary.setting)}"
    return _Section(opening=f"## diffopt: {_state(summary)}\n\n{figures}\n", items=(), noun="")


def _state(summary: Summary) -> str:
    judged = summary.ledger.entries
    if (
        summary.ledger.broken
        or any(entry.verdict.is_failure for entry in judged)
        or any(unmet_requirement.is_failure for unmet_requirement in summary.unmet_requirements)
    ):
        return "failed"
    if summary.unmet_requirements:
        return "passed, with gaps"
    return "passed" if judged else "nothing was judged"


def _not_proven(summary: Summary) -> _Section:
    lines = [f"- {text(unmet_requirement.text)}" for unmet_requirement in summary.unmet_requirements]
    return _Section(opening="**Not proven:**\n", items=lines, noun="line")


def _passed(summary: Summary, entries: Sequence[tuple[str, LedgerEntry]]) -> _Section:
    opening = f"<details><summary>{counted(len(entries), 'verdict')} passed</summary>\n\n{_table_head(summary)}"
    rows = _verdict_rows(summary, entries)
    return _Section(opening=opening, items=rows, noun="verdict", closing="\n\n</details>")


def _baselines(comparison: BaselineComparison) -> _Section:
    title = f"### Baselines\n\n{text(baseline_changes.headline(comparison))}\n"
    if not comparison.changes:
        return _Section(opening=title, items=(), noun="")
    rows = [
        row([_kind(change.kind), code(change.path), text(baseline_changes.what_changed(change)), text(change.reason)])
        for change in comparison.changes
    ]
    return _Section(opening=f"{title}\n{head(['', 'baseline', 'allowed', 'reason'])}", items=rows, noun="baseline")


def _kind(kind: str) -> str:
    return f"**{kind}**" if kind in baseline_changes.WEAKENING else kind


def _table_head(summary: Summary) -> str:
    gpu = ["GPU"] if summary.shows_gpus else []
    return head(["", "concern", "pipeline", *gpu, "recipe", "old -&gt; new", "test"])


def _verdict_rows(summary: Summary, entries: Sequence[tuple[str, LedgerEntry]]) -> list[str]:
    return [_verdict_row(summary, anchor, entry) for anchor, entry in entries]


def _verdict_row(summary: Summary, anchor: str, entry: LedgerEntry) -> str:
    verdict = entry.verdict
    outcome = f"**{verdict.outcome}**" if verdict.is_failure else str(verdict.outcome)
    scale = f" ({verdict.subject.scale})" if verdict.subject.scale else ""
    figures = compared_figures(verdict.figures) or verdict.summary
    gpu = [text(summary.gpu(entry.shard))] if summary.shows_gpus else []
    names = code(verdict.subject.pipeline + scale), *gpu, code(verdict.subject.recipe)
    return row([outcome, verdict.concern, *names, text(figures), _test(summary, anchor, entry)])


def _test(summary: Summary, anchor: str, entry: LedgerEntry) -> str:
    """Return the node ID of a test, as a link to its case on the page if the page has a URL."""
    return linked(entry.nodeid, f"{summary.page}#{anchor}") if summary.page else code(entry.nodeid)


def _details(summary: Summary, anchor: str, entry: LedgerEntry) -> str:
    title = f"{entry.verdict.outcome}: {_named(summary, entry)}"
    images = f"\n\n{linked('this case in the report', f'{summary.page}#{anchor}')}" if summary.page else ""
    return folded(title, fenced(entry.verdict.explanation) + images) + "\n"


def _named(summary: Summary, test: LedgerEntry | BrokenTest | CaseResult) -> str:
    """Return the node ID of a test, with its GPU if the report has several."""
    gpu = summary.gpu(test.shard)
    return code(test.nodeid) + (f" on {text(gpu)}" if gpu else "")


def _broken(summary: Summary) -> _Section:
    tests = summary.ledger.broken
    opening = f"**{counted(len(tests), 'test')} failed without a verdict:**\n"
    items = [
        folded(f"{_named(summary, test)} {text(test.reason)}", fenced(test.details.splitlines())) + "\n"
        for test in tests
    ]
    return _Section(opening=opening, items=items, noun="test")


def _sessions(summary: Summary) -> _Section:
    opening = head(["shard", "GPU", "verdicts", "failed", "broken tests", "skipped tests"])
    rows = [
        row(
            [
                code(session.name),
                text(session.device),
                *map(str, (session.num_verdicts, session.num_failed, session.num_broken, session.num_skipped)),
            ]
        )
        for session in summary.sessions
    ]
    differences = "".join(f"\n\nVersions differ: {text(line)}" for line in summary.differences)
    return _Section(opening=opening, items=rows, noun="shard", closing=f"\n{differences}")


def _skipped(summary: Summary) -> _Section:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for case in summary.ledger.skipped():
        by_reason[case.skip_reason].append(_named(summary, case))
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    total = sum(map(len, by_reason.values()))
    opening = f"<details><summary>{counted(total, 'test')} skipped</summary>\n\n{head(['tests', 'why', 'which'])}"
    rows = [row([str(len(nodeids)), text(reason), _some(nodeids)]) for reason, nodeids in ordered]
    return _Section(opening=opening, items=rows, noun="reason", closing="\n\n</details>")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_TESTS
    return " ".join(names[:_SHOWN_TESTS]) + (f" and {more} more" if more > 0 else "")
