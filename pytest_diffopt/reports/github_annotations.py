"""GitHub annotations: each failure shown at its line of the pull request."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.records import Concern
from pytest_diffopt.reports.workflow_commands import Level, annotation
from pytest_diffopt.session.ledger import CaseResult, Ledger, LedgerEntry

#: The concerns whose records contain lines of user code.
_LOCATED = frozenset({Concern.SYNCS, Concern.GRAPH_BREAKS, Concern.RECOMPILES})
# GitHub shows this many errors of one step, and drops further ones silently.
_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A line of the repository, and the failure at it.

    Attributes:
        file: path relative to the root of the repository; empty if unknown.
        line: line number, from 1; 0 for the whole file.
        title: the concern.
        headline: headline of the failure.
    """

    file: str
    line: int
    title: str
    headline: str


def annotation_lines(ledger: Ledger, *, root: Path, folder: Path, workspace: Path | None) -> Iterator[str]:
    """Yield a workflow command for each line that syncs, breaks the graph or triggers a recompile.

    If that line is outside of the repository, for example in diffusers, the test is annotated instead.

    Args:
        ledger: the ledger of the session.
        root: pytest's root folder, to which node IDs are relative.
        folder: the working folder, to which paths of user code are relative.
        workspace: the folder to which GitHub's paths are relative; None for pytest's root folder.
    """
    found: dict[Place, list[str]] = {}
    for entry in ledger.entries:
        if entry.verdict.is_failure and entry.verdict.concern in _LOCATED:
            case = ledger.cases.get(entry.nodeid)
            for place in _places(entry, case, (folder, root), (workspace or root).resolve()):
                found.setdefault(place, []).append(entry.nodeid)
    for place, nodeids in list(found.items())[:_SHOWN]:
        yield _command(place, list(dict.fromkeys(nodeids)))
    if len(found) > _SHOWN:
        yield annotation(Level.NOTICE, f"{len(found) - _SHOWN} more places are in the summary")


def _places(entry: LedgerEntry, case: CaseResult | None, starts: Sequence[Path], workspace: Path) -> list[Place]:
    """Return the lines of the record that the verdict's explanation names; other lines are allowed."""
    headline = entry.verdict.explanation[0].removeprefix("diffopt: ")
    explained = "\n".join(entry.verdict.explanation)
    shown = [(file, line) for file, line in _locations(entry.record) if _is_in(f"{file}:{line}", explained)]
    inside = [(path, line) for file, line in shown if (path := _in_workspace(file, starts, workspace))]
    if not inside and case is not None:
        path = _in_workspace(case.file, starts[::-1], workspace)
        elsewhere = f" (at {shown[0][0]}:{shown[0][1]})" if shown else ""
        return [Place(file=path, line=case.line, title=entry.verdict.concern, headline=headline + elsewhere)]
    lines = dict.fromkeys(inside)
    return [Place(file=file, line=line, title=entry.verdict.concern, headline=headline) for file, line in lines]


def _is_in(place: str, explained: str) -> bool:
    return re.search(rf"(?<![\w/]){re.escape(place)}(?!\d)", explained) is not None


def _locations(record: Any) -> Iterator[tuple[str, int]]:
    """Yield file and line of every `CodeLocation` in a record, in order."""
    if isinstance(record, dict):
        if {"file", "line", "function"} <= record.keys():
            yield str(record["file"]), int(record["line"])
        for value in record.values():
            yield from _locations(value)
    elif isinstance(record, (list, tuple)):
        for value in record:
            yield from _locations(value)


def _in_workspace(file: str, starts: Iterable[Path], workspace: Path) -> str:
    """Return a path relative to the root of the repository; empty if no such file exists in it."""
    for start in starts:
        path = (start / file).resolve()
        if path.is_file() and path.is_relative_to(workspace):
            return path.relative_to(workspace).as_posix()
    return ""


def _command(place: Place, nodeids: Sequence[str]) -> str:
    more = f" and {counted(len(nodeids) - 1, 'more test')}" if len(nodeids) > 1 else ""
    message = f"{place.headline} [{nodeids[0]}{more}]"
    return annotation(Level.ERROR, message, title=f"diffopt: {place.title}", file=place.file, line=place.line)
