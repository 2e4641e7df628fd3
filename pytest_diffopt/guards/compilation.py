"""Judge the compilation of a pipeline at warm-up: no graph breaks, and every compiled module is called."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks, exceeded_limit, excess, place_of, unused
from pytest_diffopt.guards.failure_text import allowed, are, counted, explain, in_columns, not_needed, tolerated
from pytest_diffopt.guards.unwatched import no_graph_ran
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
_WATCHED_SINCE = "watched since its first assertion, or since the optimized_pipeline fixture started"
_WITHOUT_FULLGRAPH = "fullgraph=True makes it an error: fix the line, or compile without fullgraph to count the breaks"
_COMPILE_FIRST = "add compile to the recipe, or remove this assertion"
_FIND_WHAT_DISABLES = (
    "the recipe compiles: find what disables it (torch.compiler.disable, torch.compiler.set_stance, a replaced module)"
)
_CALL_OR_STOP_COMPILING = "call this module in the test, or stop compiling it"
_NO_LONGER_NEEDED = "remove or lower it in allow_graph_breaks, so that the break cannot return unnoticed"
_EFFECTS = {
    BreakKind.LEFT_THE_GRAPH: "",
    BreakKind.GAVE_UP_THE_FUNCTION: "the whole function runs uncompiled: Dynamo cannot resume after this line",
    BreakKind.READ_IN_THE_GRAPH: "fullgraph=True keeps the read in the graph; it still syncs the CPU with the GPU",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Finding:
    """A failure: its headline, its facts, and what to do."""

    headline: str
    facts: tuple[str, ...]
    hint: str


def judge_graph_breaks(
    record: CompilationRecord, *, allow: Sequence[AllowedGraphBreaks] = (), may_allow_more: bool = False
) -> Verdict:
    """Judge a record: graph breaks not allowed, compiled code that never runs, or no compilation are regressions.

    A call without a break that ran no compiled graph is unwatched.

    Args:
        record: what was compiled at warm-up.
        allow: accepted graph breaks.
        may_allow_more: accept allowances that are no longer needed; by default they are a regression too.
    """
    if not record.frames and not record.breaks and all(module.has_run for module in record.modules):
        return nothing_compiled(Concern.GRAPH_BREAKS, record)
    stale = unused(record.breaks, allow)
    finding = _finding(record, allow, () if may_allow_more else stale)
    if finding is None and record.graph_calls == 0:
        return no_graph_ran(Concern.GRAPH_BREAKS, record.subject, "the call", _compiled_lines(record.frames))
    graphs = sum(frame.is_compiled for frame in record.frames)
    return Verdict(
        concern=Concern.GRAPH_BREAKS,
        outcome=Outcome.REGRESSED if finding else Outcome.PASSED,
        subject=record.subject,
        summary=_summary(record, graphs) + tolerated(len(stale) if may_allow_more else 0),
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
    """Return the verdict when nothing was compiled: a regression, because nothing was checked."""
    hint = _FIND_WHAT_DISABLES if "compile" in record.subject.recipe else _COMPILE_FIRST
    return Verdict(
        concern=concern,
        outcome=Outcome.REGRESSED,
        subject=record.subject,
        summary="nothing compiled",
        explanation=explain(_NOTHING_COMPILED, [_WATCHED_SINCE], seen=f"in {record.subject}", hint=hint),
    )


def _compiled_lines(frames: Iterable[CompiledFrame]) -> tuple[str, ...]:
    """Return a line for each function with what was captured of it."""
    graphs, operators = Counter[str](), Counter[str]()
    for frame in frames:
        graphs[frame.region] += frame.is_compiled
        operators[frame.region] += frame.operations
    return captured_lines((region, graphs[region], operators[region]) for region in graphs)


def captured_lines(functions: Iterable[tuple[str, int, int]]) -> tuple[str, ...]:
    """Return a line for each function, given its name, its graphs and their operators."""
    return in_columns(
        (name, f"{counted(graphs, 'graph')} with {counted(operators, 'operator')}")
        for name, graphs, operators in functions
    )


def limit_lines(frames: Sequence[CompiledFrame]) -> list[str]:
    """Return a line for each function that reached Dynamo's recompile limit."""
    found = {frame.region: frame for frame in frames if frame.hit_limit}
    return [
        f"{frame.region}  {frame.where}: reached Dynamo's recompile limit; it now runs uncompiled"
        for frame in found.values()
    ]


def _finding(record: CompilationRecord, allow: Sequence[AllowedGraphBreaks], stale: Sequence[str]) -> _Finding | None:
    return next(filter(None, _findings(record, allow, stale)), None)


def _findings(
    record: CompilationRecord, allow: Sequence[AllowedGraphBreaks], stale: Sequence[str]
) -> Iterator[_Finding | None]:
    """Yield the failures in order of importance; only the first is shown."""
    too_many = list(record.breaks) if record.ended_by_fullgraph else excess(record.breaks, allow)
    if too_many:
        limit = 0 if record.ended_by_fullgraph else exceeded_limit(too_many, allow)
        yield _Finding(
            headline=f"{counted(len(too_many), 'graph break')} {allowed(limit)}",
            facts=tuple(line for found in too_many for line in _break_lines(found, is_error=record.ended_by_fullgraph)),
            hint=_WITHOUT_FULLGRAPH if record.ended_by_fullgraph else _hint(too_many),
        )
    if at_limit := limit_lines(record.frames):
        yield _Finding(
            headline=f"{counted(len(at_limit), 'function')} reached Dynamo's recompile limit",
            facts=tuple(at_limit),
            hint="use assert_no_recompiles to see the guards that fail",
        )
    if silent := [module for module in record.modules if not module.has_run]:
        yield _Finding(
            headline=f"{counted(len(silent), 'compiled module')} {are(len(silent))} never called",
            facts=tuple(f"{module.name}  ({module.region})" for module in silent),
            hint=_CALL_OR_STOP_COMPILING,
        )
    if stale:
        yield _Finding(
            headline=not_needed("graph break", len(stale)),
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
    return f": {counted(captured, 'operator')} captured; a call runs {record.eager_operators} outside any graph"


def _break_lines(found: GraphBreak, *, is_error: bool) -> Sequence[str]:
    source = [f"  {found.where.source}"] if found.where.source else []
    code = f"  ({found.code})" if found.code else ""
    effect = [f"  {_EFFECTS[found.kind]}"] if _EFFECTS[found.kind] and not is_error else []
    hints = [f"  hint: {hint}" for hint in found.hints]
    return [f"{found.where}  in {found.where.function}", *source, f"  {found.reason}{code}", *effect, *hints]


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
    return f"to accept this: allow_graph_breaks=[{', '.join(texts)}]"


def _summary(record: CompilationRecord, graphs: int) -> str:
    regions = [_region(module, record.frames) for module in record.modules]
    breaks = f"{counted(len(record.breaks), 'graph break')} in {counted(graphs, 'compiled frame')}"
    return "; ".join([breaks, *regions])


def _region(module: CompiledModule, frames: Sequence[CompiledFrame]) -> str:
    """Write a module's summary: `unet BasicTransformerBlock: 4 blocks, 1 compile`."""
    compiles = sum(frame.region == module.region and frame.is_compiled and not frame.is_resumed for frame in frames)
    blocks = f"{counted(module.instances, 'block')}, " if module.instances > 1 else ""
    return f"{module.name}: {blocks}{counted(compiles, 'compile')}"
