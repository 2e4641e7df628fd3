"""Judge what `torch.compile` did: graph breaks at warm-up, recompiles after it."""

import re
from collections.abc import Sequence

from pytest_diffopt.guards.explain import allowed, counted, explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CompilationRecord, CompiledFrame, Concern, GraphBreak, RecompileRecord

_NOTHING_COMPILED = "nothing was compiled, so nothing was checked"
_WATCHED_SINCE = "watched since its first assertion, or since the optimized_pipeline fixture began to build it"
_WITHOUT_FULLGRAPH = "fullgraph=True makes it an error: mend the line, or compile without fullgraph to count the breaks"
_COMPILE_FIRST = "add compile to the recipe, or take this assertion out of the test"


def judge_graph_breaks(record: CompilationRecord, *, max_breaks: int = 0) -> Verdict:
    """More graph breaks than allowed, or no compilation at all, is a regression.

    Args:
        record: what was compiled at warm-up.
        max_breaks: how many different places may leave the graph.
    """
    if not record.frames and not record.breaks:
        return _nothing_compiled(Concern.GRAPH_BREAKS, record)
    count = len(record.breaks)
    is_red = count > max_breaks or record.ended_by_fullgraph
    graphs = sum(1 for frame in record.frames if frame.is_compiled)
    explanation = explain(
        f"{counted(count, 'graph break')} {allowed(0 if record.ended_by_fullgraph else max_breaks)}",
        [line for found in record.breaks for line in _break_lines(found)],
        seen=f"while compiling {record.subject}, {counted(graphs, 'frame')} compiled",
        remedy=_WITHOUT_FULLGRAPH if record.ended_by_fullgraph else f"if this is wanted: max_graph_breaks={count}",
    )
    return Verdict(
        concern=Concern.GRAPH_BREAKS,
        outcome=Outcome.REGRESSED if is_red else Outcome.PASSED,
        subject=record.subject,
        summary=f"{counted(count, 'graph break')} in {counted(graphs, 'compiled frame')}",
        explanation=explanation if is_red else (),
        figures={"graph_breaks": count, "compiled_frames": graphs},
    )


def judge_recompiles(record: RecompileRecord, *, max_recompiles: int = 0) -> Verdict:
    """More compilations after warm-up than allowed, or no compilation at all, is a regression."""
    if not any(frame.is_compiled for frame in record.warmup_frames):
        return _nothing_compiled(Concern.RECOMPILES, record)
    count = sum(len(variation.frames) for variation in record.variations)
    calls = counted(len(record.variations), "varied call")
    explanation = explain(
        f"{counted(count, 'recompile')} after warm-up {allowed(max_recompiles)}",
        [
            line
            for variation in record.variations
            for frame in variation.frames
            for line in _recompile_lines(frame, variation.variation)
        ],
        seen=f"in {calls} of {record.subject}",
        remedy=f"mark what varies as dynamic, pass it as a tensor, or if this is wanted: max_recompiles={count}",
    )
    return Verdict(
        concern=Concern.RECOMPILES,
        outcome=Outcome.REGRESSED if count > max_recompiles else Outcome.PASSED,
        subject=record.subject,
        summary=f"{counted(count, 'recompile')} in {calls}",
        explanation=explanation if count > max_recompiles else (),
        figures={"recompiles": count, "calls": len(record.variations)},
    )


def _nothing_compiled(concern: Concern, record: CompilationRecord | RecompileRecord) -> Verdict:
    return Verdict(
        concern=concern,
        outcome=Outcome.REGRESSED,
        subject=record.subject,
        summary="nothing compiled",
        explanation=explain(_NOTHING_COMPILED, [_WATCHED_SINCE], seen=f"in {record.subject}", remedy=_COMPILE_FIRST),
    )


def _break_lines(found: GraphBreak) -> Sequence[str]:
    source = [f"  {found.where.source}"] if found.where.source else []
    hints = [f"  hint: {hint}" for hint in found.hints]
    return [f"{found.where}  in {found.where.function}", *source, f"  {found.reason}", *hints]


def _recompile_lines(frame: CompiledFrame, variation: str) -> Sequence[str]:
    reason = frame.recompile_reason or "compiled for the first time, after warm-up"
    # Dynamo pads the guard to a column, and lets the stack of the line that needed it follow.
    lines = [re.sub(r"(?<=\S) {2,}", "  ", line.rstrip()) for line in reason.splitlines()]
    return [f"{variation}: {frame.where.function}  {frame.where}", *(f"  {line}" for line in lines)]
