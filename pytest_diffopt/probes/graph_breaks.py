"""Dynamo's reports of graph breaks, reduced to one entry per line of user code."""

import re
from collections.abc import Iterable

from pytest_diffopt._torch_private.compile_watching import StackLine, TracedBreak
from pytest_diffopt.records import BreakKind, GraphBreak
from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation, is_machinery, locate

# Dynamo appends errors that occur while it handles a break; the original break comes first.
_CONSEQUENCE = "*** While handling this graph break"
_CODE = re.compile(r"/gb/gb(?P<number>\d+)\.html")
_HINT = "Hint: "
_RESUMED = re.compile(r"^torch_dynamo_resume_in_(?P<name>.+)_at_(?P<line>\d+)$")
# After a break, Dynamo skips the broken function and its callers. It reports each of them as a further break.
_SKIPPED = re.compile(r"Attempted to (?:inline|call) function marked as skipped")
_SKIPPED_NAME = re.compile(r"name: (?P<name>[^,]+), filename: `(?P<path>[^`]+)`")


def graph_break(found: TracedBreak, region: str) -> GraphBreak:
    """Return a graph break with its line, reason, number and hints."""
    text = found.message.partition(_CONSEQUENCE)[0]
    lines = [line.strip() for line in text.strip().splitlines()]
    code = _CODE.search(text)
    return GraphBreak(
        where=_where(found.stack),
        reason=lines[0] if lines else "no reason given",
        region=region,
        kind=BreakKind.GAVE_UP_THE_FUNCTION if found.gave_up else BreakKind.LEFT_THE_GRAPH,
        code=f"GB{code['number']}" if code else "",
        hints=tuple(line.removeprefix(_HINT) for line in lines if line.startswith(_HINT)),
    )


def read_in_graph(found: TracedBreak, region: str) -> GraphBreak:
    """Return a read inside the graph: no graph break, but a host-device synchronization."""
    kind = BreakKind.READ_IN_THE_GRAPH
    return GraphBreak(where=_where(found.stack), reason=found.message, region=region, kind=kind)


def one_per_line(breaks: Iterable[GraphBreak]) -> tuple[GraphBreak, ...]:
    """Keep one break per line; of several, one that skips the whole function takes precedence."""
    places: dict[tuple[str, int], GraphBreak] = {}
    for found in breaks:
        key = (found.where.file, found.where.line)
        known = places.get(key)
        if known is None or (found.kind is BreakKind.GAVE_UP_THE_FUNCTION and known.kind is BreakKind.LEFT_THE_GRAPH):
            places[key] = found
    return tuple(places.values())


def is_consequence(found: TracedBreak, known: Iterable[TracedBreak]) -> bool:
    """Return whether a break only reports a skipped function whose own break is already known."""
    if not _SKIPPED.match(found.message):
        return False
    skipped = _SKIPPED_NAME.search(found.message)
    return any(
        any(_same_line(caller, found.stack[-1:]) for caller in one.stack[:-1])
        or (skipped is not None and any(_is_in(line, skipped["path"], skipped["name"]) for line in one.stack))
        for one in known
    )


def _same_line(caller: StackLine, innermost: tuple[StackLine, ...]) -> bool:
    return any((caller.path, caller.line) == (line.path, line.line) for line in innermost)


def _is_in(line: StackLine, path: str, function: str) -> bool:
    return line.path == path and source_name(line.function) == function


def source_name(function: str) -> str:
    """Return a function's name in the source; Dynamo generates another name for the continuation after a break."""
    resumed = _RESUMED.match(function)
    return resumed["name"] if resumed else function


def _where(stack: tuple[StackLine, ...]) -> CodeLocation:
    """Return the innermost line of user code; Dynamo's polyfills of builtins are skipped."""
    lines = [line for line in stack if not is_machinery(line.path)] or list(stack)
    if not lines:
        return UNKNOWN_LOCATION
    return locate(lines[-1].path, lines[-1].line, source_name(lines[-1].function))
