"""Graph breaks and recompiles beyond what is allowed are red; so is a compilation that never happened."""

import pytest

from pytest_diffopt.code_location import CodeLocation
from pytest_diffopt.guards.compilation import judge_graph_breaks, judge_recompiles
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    CompilationRecord,
    CompiledFrame,
    Concern,
    GraphBreak,
    RecompileRecord,
    VariationRecompiles,
)
from tests.unit.guards.guard_examples import SEEN, SUBJECT

FORWARD = CodeLocation(file="diffusers/unet.py", line=40, function="forward", source="def forward(self, x):")
PRINTS = GraphBreak(
    where=CodeLocation(file="models/own.py", line=12, function="gate", source="print(x)"),
    reason="Failed to trace builtin operator `print`",
    hints=("Remove the print", "Or use fullgraph=False"),
)
READS = GraphBreak(where=CodeLocation(file="models/own.py", line=20, function="gate"), reason="Tensor.item()")


def frame(*, is_compiled: bool = True, reason: str = "") -> CompiledFrame:
    """Pretend that `forward` was compiled, or given up."""
    return CompiledFrame(
        where=FORWARD,
        compile_id="0/0",
        operations=7,
        guards=3,
        is_compiled=is_compiled,
        recompile_reason=reason,
        compile_ns=1_000_000,
    )


def breaks(*found: GraphBreak, frames: tuple[CompiledFrame, ...] = (frame(),), max_breaks: int = 0) -> Verdict:
    """Judge a warm-up with these breaks."""
    record = CompilationRecord(subject=SUBJECT, frames=frames, breaks=found)
    return judge_graph_breaks(record, max_breaks=max_breaks)


def recompiles(
    *variations: VariationRecompiles, warmup: tuple[CompiledFrame, ...] = (frame(),), max_recompiles: int = 0
) -> Verdict:
    """Judge these varied calls."""
    record = RecompileRecord(subject=SUBJECT, warmup_frames=warmup, variations=variations)
    return judge_recompiles(record, max_recompiles=max_recompiles)


def test_one_graph_is_green() -> None:
    """No break: the summary counts the frames, and nothing is explained."""
    verdict = breaks()

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.GRAPH_BREAKS
    assert verdict.summary == "0 graph breaks in 1 compiled frame"
    assert verdict.explanation == ()
    assert verdict.figures == {"graph_breaks": 0, "compiled_frames": 1}


def test_graph_breaks_are_red_with_the_lines_that_broke() -> None:
    """Each place has its line, its source, Dynamo's reason and hints; the remedy can be pasted."""
    verdict = breaks(PRINTS, READS, frames=(frame(), frame(), frame(is_compiled=False)))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "2 graph breaks in 2 compiled frames"
    assert verdict.explanation == (
        "diffopt: 2 graph breaks (up to 0 allowed)",
        "  models/own.py:12  in gate",
        "    print(x)",
        "    Failed to trace builtin operator `print`",
        "    hint: Remove the print",
        "    hint: Or use fullgraph=False",
        "  models/own.py:20  in gate",
        "    Tensor.item()",
        f"seen while compiling {SEEN}, 2 frames compiled",
        "if this is wanted: max_graph_breaks=2",
    )
    assert verdict.figures == {"graph_breaks": 2, "compiled_frames": 2}


@pytest.mark.parametrize(("max_breaks", "outcome"), [(0, Outcome.REGRESSED), (1, Outcome.PASSED), (2, Outcome.PASSED)])
def test_accepted_breaks_stay_green_up_to_their_number(max_breaks: int, outcome: Outcome) -> None:
    """Who accepts n breaks is told of n + 1."""
    assert breaks(PRINTS, max_breaks=max_breaks).outcome is outcome


def test_a_break_that_ended_the_call_is_red_whatever_is_allowed() -> None:
    """`fullgraph=True` made an error of it, so nothing after it was seen, and no allowance makes that green."""
    record = CompilationRecord(subject=SUBJECT, frames=(), breaks=(PRINTS,), ended_by_fullgraph=True)
    verdict = judge_graph_breaks(record, max_breaks=9)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[0] == "diffopt: 1 graph break (up to 0 allowed)"
    assert verdict.explanation[-1] == (
        "fullgraph=True makes it an error: mend the line, or compile without fullgraph to count the breaks"
    )


def test_a_break_alone_proves_that_something_was_tried() -> None:
    """A warm-up in which Dynamo gave everything up is about breaks, not about nothing being compiled."""
    verdict = breaks(PRINTS, frames=())

    assert verdict.explanation[0] == "diffopt: 1 graph break (up to 0 allowed)"
    assert verdict.explanation[-2] == f"seen while compiling {SEEN}, 0 frames compiled"


def test_nothing_compiled_has_no_graph_break_and_is_red() -> None:
    """A pipeline that was never compiled must not look as if it compiled to one graph."""
    verdict = breaks(frames=())

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.concern is Concern.GRAPH_BREAKS
    assert verdict.summary == "nothing compiled"
    assert verdict.explanation == (
        "diffopt: nothing was compiled, so nothing was checked",
        "  watched since its first assertion, or since the optimized_pipeline fixture began to build it",
        f"seen in {SEEN}",
        "add compile to the recipe, or take this assertion out of the test",
    )


def test_varied_calls_that_compile_nothing_are_green() -> None:
    """Compiled once, at warm-up, and never again."""
    verdict = recompiles(
        VariationRecompiles(variation="another seed", frames=()), VariationRecompiles(variation="call 2", frames=())
    )

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.RECOMPILES
    assert verdict.summary == "0 recompiles in 2 varied calls"
    assert verdict.explanation == ()
    assert verdict.figures == {"recompiles": 0, "calls": 2}


def test_a_recompile_is_red_with_the_call_and_the_guard_that_failed() -> None:
    """Which variation, which function, which guard; a first compilation after warm-up says that it is one."""
    verdict = recompiles(
        VariationRecompiles(variation="guidance_scale=7.5", frames=(frame(reason="guidance == 5.0"),)),
        VariationRecompiles(variation="another seed", frames=(frame(),)),
    )

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "2 recompiles in 2 varied calls"
    assert verdict.explanation == (
        "diffopt: 2 recompiles after warm-up (up to 0 allowed)",
        "  guidance_scale=7.5: forward  diffusers/unet.py:40",
        "    guidance == 5.0",
        "  another seed: forward  diffusers/unet.py:40",
        "    compiled for the first time, after warm-up",
        f"seen in 2 varied calls of {SEEN}",
        "mark what varies as dynamic, pass it as a tensor, or if this is wanted: max_recompiles=2",
    )


def test_a_reason_of_several_lines_stays_under_its_call() -> None:
    """Dynamo adds the stack of the line that needed the guard; every line is indented, and no column is padded."""
    reason = '0/0: n == 2.0                  # return x * n\nUser stack trace:\n  File "own.py", line 3, in size\n'
    verdict = recompiles(VariationRecompiles(variation="call 1", frames=(frame(reason=reason),)))

    assert verdict.explanation[1:5] == (
        "  call 1: forward  diffusers/unet.py:40",
        "    0/0: n == 2.0  # return x * n",
        "    User stack trace:",
        '      File "own.py", line 3, in size',
    )


@pytest.mark.parametrize(("limit", "outcome"), [(0, Outcome.REGRESSED), (1, Outcome.PASSED)])
def test_accepted_recompiles_stay_green_up_to_their_number(limit: int, outcome: Outcome) -> None:
    """A new resolution may compile once when somebody says so."""
    verdict = recompiles(VariationRecompiles(variation="512 px", frames=(frame(),)), max_recompiles=limit)

    assert verdict.outcome is outcome


def test_frames_that_were_only_given_up_count_as_nothing_compiled() -> None:
    """A warm-up that left no compiled code cannot recompile, which proves nothing."""
    verdict = recompiles(VariationRecompiles(variation="call 1", frames=()), warmup=(frame(is_compiled=False),))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.concern is Concern.RECOMPILES
    assert verdict.explanation == (
        "diffopt: nothing was compiled, so nothing was checked",
        "  watched since its first assertion, or since the optimized_pipeline fixture began to build it",
        f"seen in {SEEN}",
        "add compile to the recipe, or take this assertion out of the test",
    )
