"""Annotations: a failure shown on the line of the pull request that it is about."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.records import Concern
from pytest_diffopt.session.ledger import CaseResult, Ledger, LedgerEntry

#: What has a line of somebody's code to stand on.
_LOCATED = frozenset({Concern.SYNCS, Concern.GRAPH_BREAKS, Concern.RECOMPILES})
# GitHub shows so many errors of one step, and drops the rest without a word.
_SHOWN = 10
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A line of the repository, and what is wrong there.

    Attributes:
        file: the path from the root of the repository; empty when nobody knows one.
        line: its number, from 1; 0 for the whole file.
        title: the concern.
        headline: what is wrong.
    """

    file: str
    line: int
    title: str
    headline: str


def annotation_lines(ledger: Ledger, *, root: Path, folder: Path, workspace: Path | None) -> Iterator[str]:
    """Yield a command for each line that waits for the GPU, breaks the graph or makes torch compile again.

    Where that line is not in the repository (it is diffusers' own, say), the test that found it is annotated.

    Args:
        ledger: of the session.
        root: pytest's root folder, which the names of tests begin at.
        folder: the working folder, which the paths of user's code begin at.
        workspace: the folder that GitHub's paths begin at; pytest's root folder when there is none.
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
        yield f"::notice title=diffopt::{len(found) - _SHOWN} more places are in the summary"


def _places(entry: LedgerEntry, case: CaseResult | None, starts: Sequence[Path], workspace: Path) -> list[Place]:
    """Return the lines that a verdict is about: of its record those that it explains, for others are allowed."""
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
    """Yield file and line of every `CodeLocation` in a record, in its order."""
    if isinstance(record, dict):
        if {"file", "line", "function"} <= record.keys():
            yield str(record["file"]), int(record["line"])
        for value in record.values():
            yield from _locations(value)
    elif isinstance(record, (list, tuple)):
        for value in record:
            yield from _locations(value)


def _in_workspace(file: str, starts: Iterable[Path], workspace: Path) -> str:
    """Return a path from the root of the repository; empty when it is no file in there."""
    for start in starts:
        path = (start / file).resolve()
        if path.is_file() and path.is_relative_to(workspace):
            return path.relative_to(workspace).as_posix()
    return ""


def _command(place: Place, nodeids: Sequence[str]) -> str:
    more = f" and {counted(len(nodeids) - 1, 'test')} more" if len(nodeids) > 1 else ""
    properties = {"file": place.file, "line": str(place.line) if place.line else "", "title": f"diffopt: {place.title}"}
    written = ",".join(f"{name}={value.translate(_PROPERTY)}" for name, value in properties.items() if value)
    return f"::error {written}::{f'{place.headline} [{nodeids[0]}{more}]'.translate(_DATA)}"
