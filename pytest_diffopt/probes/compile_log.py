"""The log of every compilation by Dynamo, with the target for whose call it was compiled."""

import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

import torch

from pytest_diffopt._torch_private.compile_watching import Compilation, TracedBreak, compilations_watched
from pytest_diffopt._torch_private.cuda_graphs import cuda_graphs_watched, forget_kept_out
from pytest_diffopt._torch_private.dynamo_state import DynamoState, frames_since_reset, is_known_to_dynamo
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.compiled_frames import compiled_frame
from pytest_diffopt.probes.compiled_modules import compiled_codes, reachable_codes
from pytest_diffopt.probes.graph_breaks import graph_break, is_consequence, one_per_line, read_in_graph
from pytest_diffopt.probes.own_calls import called_target
from pytest_diffopt.records import CompilationRecord, CompiledFrame, GraphBreak, Subject

_Entry = TypeVar("_Entry")

# Dynamo's id of a compilation: the number of the function since the last reset, and how often it was compiled before.
_COMPILE_ID = re.compile(r"(?:!\d+/)?(?P<function>\d+)/(?P<time>\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPosition:
    """A position in a compile log.

    Attributes:
        frames: number of compilations before it.
        breaks: number of graph breaks before it.
        resets: number of Dynamo's resets before it.
    """

    frames: int
    breaks: int
    resets: int = 0


class Owner:
    """A target, as the log refers to it: frames compiled in its calls are its own. It does not keep the target alive.

    Attributes:
        roots: the functions that are compiled in the target. A frame of any other function was reached through a graph
            break, so that any other target may reach it too.
        reachable: the methods that a graph break in the target can reach.
        compiled: the functions that were compiled in its calls, also before a reset.
    """

    __slots__ = ("__weakref__", "compiled", "reachable", "roots")

    def __init__(self) -> None:
        self.roots: frozenset[CodeType] = frozenset()
        self.reachable: frozenset[CodeType] = frozenset()
        self.compiled: set[CodeType] = set()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """Functions that Dynamo knows since its last reset.

    Attributes:
        codes: the function as written, and the code that Dynamo compiles.
        owner: for whose call it was compiled; None outside every watched call.
        is_common: whether other targets may reach the function too, as far as is known: of a call outside of every
            assertion, nothing is.
    """

    codes: frozenset[CodeType]
    owner: Owner | None
    is_common: bool


class CompileLog(AbstractContextManager["CompileLog"]):
    """Every compilation by Dynamo since the log was opened, in order.

    One log is open for the whole test session, except while another project's tests run (`pause`). A position in it
    (`mark`) separates earlier from later compilations, so that nothing needs to be compiled twice to be observed.
    """

    def __init__(self) -> None:
        self._frames: list[tuple[Owner | None, CompiledFrame]] = []
        self._breaks: list[tuple[Owner | None, GraphBreak]] = []
        self._traced: list[TracedBreak] = []
        self._wrapped: dict[CodeType, set[CodeType]] = {}
        self._namespaces: dict[int, dict[str, Any]] = {}
        self._resources = ExitStack()
        self._owners: WeakKeyDictionary[Any, Owner] = WeakKeyDictionary()
        self._known: list[_Known] = []
        self._numbers: set[int] = set()
        self._compiled_before_reset: set[CodeType] = set()
        self._resets = 0
        self._num_unseen = 0
        self._paused: DynamoState | None = None

    def __enter__(self) -> Self:
        self._num_unseen = frames_since_reset()
        self._numbers = set(range(self._num_unseen))
        self._watch()
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()
        forget_kept_out()

    def _watch(self) -> None:
        self._resources.enter_context(compilations_watched(self._add))
        if torch.cuda.is_available():
            self._resources.enter_context(cuda_graphs_watched())

    def pause(self) -> None:
        """Restore Dynamo's functions until `resume`; pausing twice is not an error."""
        if self._paused is None:
            self._resources.close()
            self._paused = DynamoState()

    def resume(self) -> None:
        """Continue after a pause: what Dynamo has compiled meanwhile is known to it from elsewhere."""
        before, self._paused = self._paused, None
        if before is None:
            return
        if before.is_reset:
            self._note_reset()
            forget_kept_out()
        self._num_unseen += before.num_new_frames
        self._numbers |= set(range(frames_since_reset()))
        if before.is_recompiled:
            codes = frozenset[CodeType]().union(*(known.codes for known in self._known))
            self._known.append(_Known(codes=codes, owner=None, is_common=True))
        self._watch()

    @property
    def namespaces(self) -> Collection[dict[str, Any]]:
        """The globals of every Python module with a compiled function."""
        return self._namespaces.values()

    @property
    def knows_any(self) -> bool:
        """Whether Dynamo knows any function since its last reset."""
        return frames_since_reset() > 0

    def mark(self) -> LogPosition:
        """Return the current end of the log."""
        if self._numbers and frames_since_reset() <= max(self._numbers):
            self._note_reset()
        return LogPosition(frames=len(self._frames), breaks=len(self._breaks), resets=self._resets)

    def since(
        self, start: LogPosition, subject: Subject, *, until: LogPosition | None = None, owner: Owner | None = None
    ) -> CompilationRecord:
        """Return the compilations after a position; each line with a graph break is listed once.

        Args:
            start: the position.
            subject: description of the target.
            until: the end; None includes the last compilation.
            owner: whose compilations are returned; None returns all.
        """
        end = until or self.mark()
        return CompilationRecord(
            subject=subject,
            frames=tuple(_of(owner, self._frames[start.frames : end.frames])),
            breaks=one_per_line(_of(owner, self._breaks[start.breaks : end.breaks])),
        )

    def explains_error(self, start: LogPosition) -> bool:
        """Return whether a break or the recompile limit since `start` explains why a call raised."""
        return len(self._breaks) > start.breaks or any(frame.hit_limit for _, frame in self._frames[start.frames :])

    def owner_of(self, target: Any) -> Owner | None:
        """Return the owner that represents a target, as it is compiled now; None if it has no weak references."""
        try:
            owner = self._owners.setdefault(target, Owner())
        except TypeError:
            return None
        owner.roots, owner.reachable = compiled_codes(target), reachable_codes(target)
        return owner

    def claim(self, start: LogPosition, owner: Owner) -> None:
        """Give a target what was compiled since a position outside every call: its fixture built and called it."""
        self._frames[start.frames :] = _claimed(owner, self._frames[start.frames :])
        self._breaks[start.breaks :] = _claimed(owner, self._breaks[start.breaks :])
        first = max(0, len(self._known) - (len(self._frames) - start.frames))
        owner.compiled.update(*(known.codes for known in self._known[first:] if known.owner is None))
        self._known[first:] = [
            replace(known, owner=owner, is_common=not known.codes <= owner.roots) if known.owner is None else known
            for known in self._known[first:]
        ]

    def is_shared(self, target: Any, owner: Owner) -> bool:
        """Return whether Dynamo knows a function of a target from elsewhere since its last reset.

        Then its compiled code, its recompile limit and the functions that it gave up would decide about this target.
        """
        others = [known for known in self._known if known.owner is not owner]
        if not owner.roots and not modules_of(target):  # a function: what it calls is not known
            return bool(others or self._num_unseen)
        own = owner.roots.union(owner.reachable, *(known.codes for known in self._known if known.owner is owner))
        if any(known.is_common or known.codes & own for known in others) and own:
            return True
        logged = frozenset[CodeType]().union(*(known.codes for known in self._known))
        return any(map(is_known_to_dynamo, own - logged))

    def _add(self, found: Compilation) -> None:
        self._note_number(found.compile_id)
        owner = self._owner_now()
        frame = compiled_frame(found)
        if self._wraps_new_function(found):  # the guards of a shared wrapper fail for each further function
            frame = replace(frame, failed_guard=None)
        if found.code in self._compiled_before_reset and not any(found.code in known.codes for known in self._known):
            frame = replace(frame, is_after_reset=True)
        for one in found.breaks:
            if not is_consequence(one, self._traced):
                self._breaks.append((owner, graph_break(one, frame.region)))
            self._traced.append(one)
        self._breaks += [(owner, read_in_graph(one, frame.region)) for one in found.reads]
        self._frames.append((owner, frame))
        self._known.append(_known(found, owner))
        if owner is not None and frame.is_compiled:
            owner.compiled |= {found.code, found.wrapper}
        self._namespaces[id(found.namespace)] = found.namespace

    def _owner_now(self) -> Owner | None:
        target = called_target()
        if target is None:
            return None
        try:
            return self._owners.get(target) or self.owner_of(target)
        except TypeError:  # it cannot be weakly referenced
            return None

    def _note_number(self, compile_id: str) -> None:
        """Note the number of a function that is compiled for the first time; a number returns only after a reset."""
        parsed = _COMPILE_ID.match(compile_id)
        if parsed and int(parsed["time"]) == 0:
            number = int(parsed["function"])
            if number in self._numbers:
                self._note_reset()
            self._numbers.add(number)

    def _note_reset(self) -> None:
        self._resets += 1
        self._num_unseen = 0
        self._numbers.clear()
        self._compiled_before_reset.update(*(known.codes for known in self._known))
        self._known.clear()

    def _wraps_new_function(self, found: Compilation) -> bool:
        """Return whether a decorator's wrapper, compiled before for another function, is compiled for a new one."""
        if _is_first(found):
            self._wrapped.pop(found.wrapper, None)
        wrapped = self._wrapped.setdefault(found.wrapper, set())
        is_another = bool(wrapped) and found.code not in wrapped
        wrapped.add(found.code)
        return is_another


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnLog:
    """The part of a log that belongs to one target.

    Attributes:
        log: the log of the session.
        owner: the target; None includes every target.
    """

    log: CompileLog
    owner: Owner | None

    @property
    def namespaces(self) -> Collection[dict[str, Any]]:
        """The globals of every Python module with a compiled function."""
        return self.log.namespaces

    def mark(self) -> LogPosition:
        """Return the current end of the log."""
        return self.log.mark()

    def since(self, start: LogPosition, subject: Subject, *, until: LogPosition | None = None) -> CompilationRecord:
        """Return the target's compilations after a position; each line with a graph break is listed once."""
        return self.log.since(start, subject, until=until, owner=self.owner)

    def explains_error(self, start: LogPosition) -> bool:
        """Return whether a break or the recompile limit since `start` explains why a call raised."""
        return self.log.explains_error(start)


def _known(found: Compilation, owner: Owner | None) -> _Known:
    codes = frozenset({found.code, found.wrapper})
    return _Known(
        codes=codes,
        owner=owner,
        is_common=owner is None or not codes <= owner.roots,
    )


def _claimed(owner: Owner, entries: list[tuple[Owner | None, _Entry]]) -> list[tuple[Owner | None, _Entry]]:
    return [(owner if one is None else one, entry) for one, entry in entries]


def _of(owner: Owner | None, entries: list[tuple[Owner | None, _Entry]]) -> Iterator[_Entry]:
    return (entry for one, entry in entries if owner is None or one is owner)


def _is_first(found: Compilation) -> bool:
    """Return whether this is a wrapper's first compilation (since a reset): Dynamo's ids end in `/0`, as in `3/0`."""
    return found.compile_id.partition("/")[2].partition("_")[0] == "0"
