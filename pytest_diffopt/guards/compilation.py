"""Judge what `torch.compile` made of a pipeline at warm-up: one graph everywhere, and all of it used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks, exceeded_limit, excess, place_of, unused
from pytest_diffopt.guards.failure_text import allowed, counted, explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    BreakKind,
    CompilationRecord,
    CompiledFrame,
    CompiledModule,
    Concern,
    GraphBreak,
    RecompileRecord,
)

_NOTHING_COMPILED = "nothing was compiled, so nothing was checked"
_WATCHED_SINCE = "watched since its first assertion, or since the optimized_pipeline fixture began to build it"
_WITHOUT_FULLGRAPH = "fullgraph=True makes it an error: fix the line, or compile without fullgraph to count the breaks"
_COMPILE_FIRST = "add compile to the recipe, or take this assertion out of the test"
_CALL_OR_LEAVE = "let the call reach it, or compile it no more"
_NO_LONGER_NEEDED = "take it out of allow_graph_breaks, or lower it, so that the break cannot come back unseen"
_WORDS = {
    BreakKind.LEFT_THE_GRAPH: "",
    BreakKind.GAVE_UP_THE_FUNCTION: "the whole function runs uncompiled: Dynamo cannot go on after this line",
    BreakKind.READ_IN_THE_GRAPH: "fullgraph=True lets the graph hold it, and the CPU waits for the GPU all the same",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Finding:
    """What is wrong, the facts, and what to do."""

    headline: str
    facts: tuple[str, ...]
    hint: str


def judge_graph_breaks(record: CompilationRecord, *, allow: Sequence[AllowedGraphBreaks] = ()) -> Verdict:
    """A break that no allowance covers, compiled code that never runs, or no compilation at all, is a regression.

    Args:
        record: what was compiled at warm-up.
        allow: breaks that are accepted; one that is gone asks to be taken out.
    """
    if not record.frames and not record.breaks and all(module.has_run for module in record.modules):
        return nothing_compiled(Concern.GRAPH_BREAKS, record)
    finding = _finding(record, allow)
    graphs = sum(frame.is_compiled for frame in record.frames)
    return Verdict(
        concern=Concern.GRAPH_BREAKS,
        outcome=Outcome.REGRESSED if finding else Outcome.PASSED,
        subject=record.subject,
        summary=_summary(record, graphs),
        explanation=_explained(record, finding, graphs) if finding else (),
        figures={
            "graph_breaks": len(record.breaks),
            "compiled_frames": graphs,
            "operations": sum(frame.operations for frame in record.frames),
            **({} if record.eager_operators is None else {"eager_operators": record.eager_operators}),
            "compile_ns": sum(frame.compile_ns for frame in record.frames),
        },
    )


def nothing_compiled(concern: Concern, record: CompilationRecord | RecompileRecord) -> Verdict:
    """Say that there was nothing to judge, which is never green."""
    return Verdict(
        concern=concern,
        outcome=Outcome.REGRESSED,
        subject=record.subject,
        summary="nothing compiled",
        explanation=explain(_NOTHING_COMPILED, [_WATCHED_SINCE], seen=f"in {record.subject}", hint=_COMPILE_FIRST),
    )


def gave_up_lines(frames: Sequence[CompiledFrame]) -> list[str]:
    """Return the functions that Dynamo compiles no more, because it did so too often."""
    found = {frame.region: frame for frame in frames if frame.hit_limit}
    return [
        f"{frame.region}  {frame.where}: compiled so often that Dynamo gave it up; it runs uncompiled"
        for frame in found.values()
    ]


def _finding(record: CompilationRecord, allow: Sequence[AllowedGraphBreaks]) -> _Finding | None:
    return next(filter(None, _findings(record, allow)), None)


def _findings(record: CompilationRecord, allow: Sequence[AllowedGraphBreaks]) -> Iterator[_Finding | None]:
    """Look for one fault after another: who is told of a break first fixes that."""
    too_many = list(record.breaks) if record.ended_by_fullgraph else excess(record.breaks, allow)
    if too_many:
        limit = 0 if record.ended_by_fullgraph else exceeded_limit(too_many, allow)
        yield _Finding(
            headline=f"{counted(len(too_many), 'graph break')} {allowed(limit)}",
            facts=tuple(line for found in too_many for line in _break_lines(found, is_error=record.ended_by_fullgraph)),
            hint=_WITHOUT_FULLGRAPH if record.ended_by_fullgraph else _hint(too_many),
        )
    if given_up := gave_up_lines(record.frames):
        yield _Finding(
            headline=f"{counted(len(given_up), 'function')} compiled too often",
            facts=tuple(given_up),
            hint="assert_no_recompiles names the guards that fail",
        )
    if silent := [module for module in record.modules if not module.has_run]:
        yield _Finding(
            headline=f"{counted(len(silent), 'module')} compiled and never called",
            facts=tuple(f"{module.name}  ({module.region})" for module in silent),
            hint=_CALL_OR_LEAVE,
        )
    if stale := unused(record.breaks, allow):
        yield _Finding(
            headline=f"{counted(len(stale), 'allowance')} for graph breaks no longer needed",
            facts=tuple(stale),
            hint=_NO_LONGER_NEEDED,
        )


def _explained(record: CompilationRecord, finding: _Finding, graphs: int) -> tuple[str, ...]:
    return explain(
        finding.headline,
        finding.facts,
        seen=f"while compiling {record.subject}, {counted(graphs, 'frame')} compiled{_operators(record)}",
        hint=finding.hint,
    )


def _operators(record: CompilationRecord) -> str:
    if record.eager_operators is None:
        return ""
    captured = sum(frame.operations for frame in record.frames)
    return f": {counted(captured, 'operator')} captured; a call runs {record.eager_operators} outside of any graph"


def _break_lines(found: GraphBreak, *, is_error: bool) -> Sequence[str]:
    source = [f"  {found.where.source}"] if found.where.source else []
    code = f"  ({found.code})" if found.code else ""
    words = [f"  {_WORDS[found.kind]}"] if _WORDS[found.kind] and not is_error else []
    hints = [f"  hint: {hint}" for hint in found.hints]
    return [f"{found.where}  in {found.where.function}", *source, f"  {found.reason}{code}", *words, *hints]


def _hint(breaks: Sequence[GraphBreak]) -> str:
    groups: dict[tuple[str, str], int] = {}
    for found in breaks:
        key = place_of(found.where), found.reason
        groups[key] = groups.get(key, 0) + 1
    texts = [
        f'AllowedGraphBreaks(where="{where}", break_reason="{reason}", {f"lines={lines}, " if lines > 1 else ""}'
        'reason="...")'
        for (where, reason), lines in groups.items()
    ]
    return f"if this is wanted: allow_graph_breaks=[{', '.join(texts)}]"


def _summary(record: CompilationRecord, graphs: int) -> str:
    regions = [_region(module, record.frames) for module in record.modules]
    breaks = f"{counted(len(record.breaks), 'graph break')} in {counted(graphs, 'compiled frame')}"
    return "; ".join([breaks, *regions])


def _region(module: CompiledModule, frames: Sequence[CompiledFrame]) -> str:
    """Say `unet BasicTransformerBlock: 4 blocks, 1 compile`."""
    compiles = sum(frame.region == module.region and frame.is_compiled and not frame.is_resumed for frame in frames)
    blocks = f"{counted(module.instances, 'block')}, " if module.instances > 1 else ""
    return f"{module.name}: {blocks}{counted(compiles, 'compile')}"
