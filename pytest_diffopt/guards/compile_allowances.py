"""Accepted graph breaks and recompiles, each named by function and cause, never by number alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol, TypeVar

from pytest_diffopt.arguments import POSITIVE_INTEGER, TEXT, ArgumentError, require
from pytest_diffopt.guards.failure_text import allowed, counted
from pytest_diffopt.records import CompiledFrame, GraphBreak
from pytest_diffopt.records.code_location import CodeLocation

_Seen_contra = TypeVar("_Seen_contra", contravariant=True)
_Seen = TypeVar("_Seen")


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedGraphBreaks:
    """Accepted graph breaks.

    Attributes:
        where: the file name and the function, as a failure prints them: `unet.py:forward`.
        break_reason: Dynamo's reason or its number (`GB0059`), as a failure prints them; a part is enough.
        reason: why they are accepted; it is shown when they no longer occur.
        lines: the number of lines of the function that break.
    """

    where: str
    break_reason: str
    reason: str
    lines: int = 1

    def __post_init__(self) -> None:
        """Raise ArgumentError for an allowance without a function, a break, a positive number or a reason."""
        _check(self, where=self.where, cause=self.break_reason, named="break_reason", reason=self.reason)
        _check_number(self, "lines", self.lines)

    @property
    def limit(self) -> int:
        """The number of breaks that are covered."""
        return self.lines

    @property
    def cause(self) -> str:
        """The cause that is accepted."""
        return self.break_reason

    def covers(self, seen: GraphBreak) -> bool:
        """Return whether a break is in the named function, for the named reason."""
        return self.where == place_of(seen.where) and (
            self.break_reason == seen.code or self.break_reason in seen.reason
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedRecompiles:
    """Accepted recompiles.

    Attributes:
        where: the file name and the function that is compiled again, as a failure prints them: `unet.py:forward`.
        guard: the source of the failed guard (`timestep`), or a part of torch's text, as a failure prints them.
        reason: why they are accepted; it is shown when they no longer occur.
        times: the number of recompiles in all varied calls together.
    """

    where: str
    guard: str
    reason: str
    times: int = 1

    def __post_init__(self) -> None:
        """Raise ArgumentError for an allowance without a function, a guard, a positive number or a reason."""
        _check(self, where=self.where, cause=self.guard, named="guard", reason=self.reason)
        _check_number(self, "times", self.times)

    @property
    def limit(self) -> int:
        """The number of recompiles that are covered."""
        return self.times

    @property
    def cause(self) -> str:
        """The cause that is accepted."""
        return self.guard

    def covers(self, seen: CompiledFrame) -> bool:
        """Return whether the named function was compiled again because of the named guard."""
        if self.where != place_of(seen.where) or seen.failed_guard is None:
            return False
        return self.guard == seen.failed_guard.source or self.guard in seen.failed_guard.text


class Allowance(Protocol[_Seen_contra]):
    """The interface that both kinds share."""

    @property
    def where(self) -> str:
        """The file name and the function."""

    @property
    def cause(self) -> str:
        """The cause that is accepted."""

    @property
    def reason(self) -> str:
        """Why it is accepted."""

    @property
    def limit(self) -> int:
        """The number that is covered."""

    def covers(self, seen: _Seen_contra, /) -> bool:
        """Return whether the allowance is about this break or recompile."""


def place_of(where: CodeLocation) -> str:
    """Write a place as allowances name it: `unet.py:forward`."""
    return f"{PurePath(where.file).name}:{where.function}"


def excess(seen: Sequence[_Seen], allow: Sequence[Allowance[_Seen]]) -> list[_Seen]:
    """Return what no allowance covers; where an allowance is exceeded, all that it is about."""
    owners = [_owner(one, allow) for one in seen]
    counts = Counter(owner for owner in owners if owner is not None)
    return [one for one, owner in zip(seen, owners, strict=True) if owner is None or counts[owner] > allow[owner].limit]


def exceeded_limit(over: Sequence[_Seen], allow: Sequence[Allowance[_Seen]]) -> int:
    """Return the total limit of the allowances that were exceeded."""
    return sum(allow[owner].limit for owner in {_owner(one, allow) for one in over} if owner is not None)


def unused(seen: Sequence[_Seen], allow: Sequence[Allowance[_Seen]]) -> list[str]:
    """Return a line for each allowance that covers less than its limit."""
    counts = Counter(_owner(one, allow) for one in seen)
    return [
        f"{one.where} ({one.cause}): {counted(counts[index], 'time')} {allowed(one.limit)}; its reason: {one.reason}"
        for index, one in enumerate(allow)
        if counts[index] < one.limit
    ]


def _owner(seen: _Seen, allow: Sequence[Allowance[_Seen]]) -> int | None:
    return next((index for index, one in enumerate(allow) if one.covers(seen)), None)


def _check(allowance: object, *, where: str, cause: str, named: str, reason: str) -> None:
    kind = type(allowance).__name__
    for value, name in ((where, "where"), (cause, named), (reason, "reason")):
        require(TEXT, value, f"{kind}({name}=...)")
    if where.count(":") != 1 or not all(where.split(":")):
        msg = f"{kind}(where=...) must be 'file.py:function', got: {where!r}"
        raise ArgumentError(msg)
    if not cause.strip():
        msg = f"{kind}({named}=...) must name the accepted cause in {where}, got: {cause!r}"
        raise ArgumentError(msg)
    if not reason.strip():
        msg = f"{kind}(reason=...) must give a reason for accepting it in {where}, got: {reason!r}"
        raise ArgumentError(msg)


def _check_number(allowance: object, name: str, number: int) -> None:
    require(POSITIVE_INTEGER, number, f"{type(allowance).__name__}({name}=...)")
