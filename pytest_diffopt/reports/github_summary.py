"""The summary of a session in Markdown: for the page of a run of GitHub Actions, and for a comment."""

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
from pytest_diffopt.reports.markdown import code, fenced, folded, head, linked, row, text
from pytest_diffopt.reports.order import anchored
from pytest_diffopt.reports.summary import Summary
from pytest_diffopt.reports.terminal import total_line
from pytest_diffopt.session.ledger import BrokenTest, CaseResult, LedgerEntry

#: GitHub refuses a larger summary of a step whole.
SUMMARY_LIMIT_BYTES = 1024 * 1024
#: And a comment of more than 65,536 characters; what is written beside the summary has its room, too.
COMMENT_LIMIT_BYTES = 63_000
# What says how much was left out has room beside what was not.
_RESERVED_BYTES = 200
_SHOWN_TESTS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    """A part whose items may be left out from the end.

    Attributes:
        opening: before the items.
        items: the worst first.
        noun: what an item is.
        closing: after the items.
    """

    opening: str
    items: Sequence[str]
    noun: str
    closing: str = ""


def render(summary: Summary, *, limit_bytes: int = SUMMARY_LIMIT_BYTES) -> str:
    """Write the summary, the worst first; what would not fit any more is left out from the end, and said."""
    written = ""
    for section in _sections(summary):
        written += _fitted(section, limit_bytes - len(written.encode()))
    return written


def write_summary_file(path: Path, written: str) -> None:
    """Write a summary into a file of its own, in place of what was there.

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
    """Add the summary to what other commands of the same step have written: together they share GitHub's limit.

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
    """Write as many items of a section as there is room for."""
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
    note = f"\n{counted(missing, section.noun)} left out: GitHub takes no larger summary.\n" if missing else ""
    return "\n".join([section.opening, *kept]) + section.closing + "\n" + note + "\n"


def _sections(summary: Summary) -> Iterator[_Section]:
    entries = anchored(summary.ledger.entries)
    bad = [(anchor, entry) for anchor, entry in entries if entry.verdict.outcome is not Outcome.PASSED]
    good = [(anchor, entry) for anchor, entry in entries if entry.verdict.outcome is Outcome.PASSED]
    yield _headline(summary)
    if summary.unmet_requirements:
        lines = [f"- {text(unmet_requirement.text)}" for unmet_requirement in summary.unmet_requirements]
        yield _Section(opening="**Not proven:**\n", items=lines, noun="line")
    if summary.baselines is not None:
        yield _baselines(summary.baselines)
    if bad:
        rows = [_verdict_row(summary, anchor, entry) for anchor, entry in bad]
        yield _Section(opening=_table_head(summary), items=rows, noun="verdict")
        yield _Section(
            opening="", items=[_details(summary, anchor, entry) for anchor, entry in bad], noun="explanation"
        )
    if summary.ledger.broken:
        yield _broken(summary)
    if summary.sessions:
        yield _sessions(summary)
    if summary.ledger.skipped():
        yield _skipped(summary)
    if good:
        opening = f"<details><summary>{counted(len(good), 'verdict')} passed</summary>\n\n{_table_head(summary)}"
        rows = [_verdict_row(summary, anchor, entry) for anchor, entry in good]
        yield _Section(opening=opening, items=rows, noun="verdict", closing="\n\n</details>")


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
    gpu = ["gpu"] if summary.shows_gpus else []
    return head(["", "concern", "pipeline", *gpu, "recipe", "old -&gt; new", "test"])


def _verdict_row(summary: Summary, anchor: str, entry: LedgerEntry) -> str:
    verdict = entry.verdict
    outcome = f"**{verdict.outcome}**" if verdict.is_failure else str(verdict.outcome)
    scale = f" ({verdict.subject.scale})" if verdict.subject.scale else ""
    figures = compared_figures(verdict.figures) or verdict.summary
    gpu = [text(summary.gpu(entry.shard))] if summary.shows_gpus else []
    names = code(verdict.subject.pipeline + scale), *gpu, code(verdict.subject.recipe)
    return row([outcome, verdict.concern, *names, text(figures), _test(summary, anchor, entry)])


def _test(summary: Summary, anchor: str, entry: LedgerEntry) -> str:
    """Name a test; where the page can be opened, as a link to all that it shows of it."""
    return linked(entry.nodeid, f"{summary.page}#{anchor}") if summary.page else code(entry.nodeid)


def _details(summary: Summary, anchor: str, entry: LedgerEntry) -> str:
    title = f"{entry.verdict.outcome}: {_named(summary, entry)}"
    images = f"\n\n{linked('its part of the report', f'{summary.page}#{anchor}')}" if summary.page else ""
    return folded(title, fenced(entry.verdict.explanation) + images) + "\n"


def _named(summary: Summary, test: LedgerEntry | BrokenTest | CaseResult) -> str:
    """Name a test and, where there are several, its GPU."""
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
    opening = head(["shard", "gpu", "verdicts", "failed", "broken tests", "skipped tests"])
    rows = [
        row(
            [
                code(session.name),
                text(session.device),
                *map(str, (session.num_verdicts, session.num_red, session.num_broken, session.num_skipped)),
            ]
        )
        for session in summary.sessions
    ]
    different = "".join(f"\n\nNot the same everywhere: {text(line)}" for line in summary.differences)
    return _Section(opening=opening, items=rows, noun="shard", closing=f"\n{different}")


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
