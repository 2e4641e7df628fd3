"""What a change did to a baseline: whether the same guard now allows more than it did."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pytest_diffopt.baselines.codec import decode
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.limits import limits
from pytest_diffopt.errors import BaselineError


class ChangeKind(StrEnum):
    """What happened to a baseline, what weakens the gate most first."""

    UNREADABLE = "unreadable"
    LOOSENED = "loosened"
    REMOVED = "removed"
    CHANGED = "changed"
    ADDED = "added"
    TIGHTENED = "tightened"


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitChange:
    """One limit that is not what it was.

    Attributes:
        name: of the figure; its unit is its last word (`latency_ns`).
        before: the most that was allowed; None when there was no such limit.
        after: the most that is allowed now; None when there is no such limit any more.
    """

    name: str
    before: float | None
    after: float | None

    @property
    def is_looser(self) -> bool:
        """Whether more is allowed: what nobody had accepted was not, and what is gone guards nothing."""
        return self.before is None or self.after is None or self.after > self.before


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineChange:
    """What happened to the file of one baseline.

    Attributes:
        path: the file, from the root of the repository.
        kind: what happened.
        limits: every limit that changed, the looser ones first.
        reason: why the new figures were accepted, as the file says; empty where it says nothing.
        note: what else there is to know.
    """

    path: str
    kind: ChangeKind
    limits: tuple[LimitChange, ...] = ()
    reason: str = ""
    note: str = ""


def compare(path: str, before: bytes | None, after: bytes | None) -> BaselineChange:
    """Compare two states of one file; None where it does not exist."""
    if after is None:
        return BaselineChange(path=path, kind=ChangeKind.REMOVED)
    if not path.endswith(".json"):
        return BaselineChange(path=path, kind=ChangeKind.ADDED if before is None else ChangeKind.CHANGED)
    try:
        new = _document(after, path)
    except BaselineError as error:
        return BaselineChange(path=path, kind=ChangeKind.UNREADABLE, note=_first_line(error))
    if before is None:
        return BaselineChange(path=path, kind=ChangeKind.ADDED, reason=new.reason)
    try:
        old = _document(before, path)
    except BaselineError:
        note = "what it was before cannot be read"
        return BaselineChange(path=path, kind=ChangeKind.CHANGED, reason=new.reason, note=note)
    return _compared(path, old, new)


def _compared(path: str, old: Baseline, new: Baseline) -> BaselineChange:
    if type(old) is not type(new):
        note = f"it guarded {old.concern}, and guards {new.concern} now"
        return BaselineChange(path=path, kind=ChangeKind.LOOSENED, reason=new.reason, note=note)
    changed = sorted(_limit_changes(old, new), key=lambda change: not change.is_looser)
    if not changed:
        return BaselineChange(path=path, kind=ChangeKind.CHANGED, reason=new.reason)
    kind = ChangeKind.LOOSENED if changed[0].is_looser else ChangeKind.TIGHTENED
    return BaselineChange(path=path, kind=kind, limits=tuple(changed), reason=new.reason)


def _limit_changes(old: Baseline, new: Baseline) -> Iterator[LimitChange]:
    before, after = limits(old), limits(new)
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield LimitChange(name=name, before=before.get(name), after=after.get(name))


def _document(raw: bytes, path: str) -> Baseline:
    """Read a document of whatever kind it says it is; the strict reader decides whether it is one."""
    concern = _concern_of(raw)
    kinds = {kind.concern.value: kind for kind in Baseline.__subclasses__()}
    if concern not in kinds:
        msg = f"the baseline {path} cannot be trusted: concern: no baseline is about {concern!r}"
        raise BaselineError(msg)
    return decode(raw, kinds[concern], file=Path(path))


def _concern_of(raw: bytes) -> str:
    try:
        content: Any = json.loads(raw)
    except (ValueError, RecursionError):
        content = None
    return str(content.get("concern")) if isinstance(content, dict) else "nothing that can be read"


def _first_line(error: BaselineError) -> str:
    return str(error).splitlines()[0]
