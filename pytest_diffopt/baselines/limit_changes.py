"""How a change affects a baseline: whether its guard allows more than before."""

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
    """The kind of change of a baseline, ordered from the weakest gate to the strictest."""

    UNREADABLE = "unreadable"
    LOOSENED = "loosened"
    REMOVED = "removed"
    CHANGED = "changed"
    ADDED = "added"
    TIGHTENED = "tightened"


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitChange:
    """A changed limit.

    Attributes:
        name: the name of the figure; its last word is the unit (`latency_ns`).
        before: the previous limit; None if there was none.
        after: the new limit; None if there is none.
    """

    name: str
    before: float | None
    after: float | None

    @property
    def is_looser(self) -> bool:
        """Whether more is allowed than before; a new or a removed limit counts as looser."""
        return self.before is None or self.after is None or self.after > self.before


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineChange:
    """The change of the file of one baseline.

    Attributes:
        path: the file, relative to the root of the repository.
        kind: the kind of change.
        limits: every changed limit, the looser ones first.
        reason: the reason in the new file; empty without one.
        note: further details.
    """

    path: str
    kind: ChangeKind
    limits: tuple[LimitChange, ...] = ()
    reason: str = ""
    note: str = ""


def compare(path: str, before: bytes | None, after: bytes | None) -> BaselineChange:
    """Compare two states of one file; None if it does not exist."""
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
        note = "the previous version cannot be read"
        return BaselineChange(path=path, kind=ChangeKind.CHANGED, reason=new.reason, note=note)
    return _compared(path, old, new)


def _compared(path: str, old: Baseline, new: Baseline) -> BaselineChange:
    if type(old) is not type(new):
        note = f"the concern changed from {old.concern} to {new.concern}"
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
    """Decode a document of the kind that its concern names."""
    concern = _concern_of(raw)
    kinds = {kind.concern.value: kind for kind in Baseline.__subclasses__()}
    if concern not in kinds:
        got = f"unknown, got: {concern!r}" if concern else "missing"
        msg = f"the baseline {path} cannot be trusted: concern: {got}"
        raise BaselineError(msg)
    return decode(raw, kinds[concern], file=Path(path))


def _concern_of(raw: bytes) -> str:
    """Return the concern of a document; empty if the text is not a JSON object with a concern."""
    try:
        content: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    return str(content.get("concern", "")) if isinstance(content, dict) else ""


def _first_line(error: BaselineError) -> str:
    return str(error).splitlines()[0]
