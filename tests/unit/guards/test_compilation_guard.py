"""The verdict on graph breaks, with every line of its text."""

from dataclasses import replace

import pytest

from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    BreakKind,
    CompilationRecord,
    CompiledFrame,
    CompiledModule,
    Concern,
    GraphBreak,
)
from tests.unit.guards.compile_examples import PRINTS, READS, UNET, frame
from tests.unit.guards.guard_examples import SEEN, SUBJECT

ALLOW_PRINT = AllowedGraphBreaks(where="own.py:gate", break_reason="GB0059", reason="prints progress")
ALLOW_READ = AllowedGraphBreaks(where="own.py:gate", break_reason="Tensor.item()", reason="decides once")
BLOCKS = CompiledModule(name="unet Block", region="Block.forward", instances=4, has_run=True)


def breaks(
    *found: GraphBreak,
    frames: tuple[CompiledFrame, ...] = (frame(),),
    modules: tuple[CompiledModule, ...] = (),
    allow: tuple[AllowedGraphBreaks, ...] = (),
) -> Verdict:
    """Judge a warm-up with these breaks."""
    record = CompilationRecord(subject=SUBJECT, frames=frames, breaks=found, modules=modules)
    return judge_graph_breaks(record, allow=allow)


def test_one_graph_passes() -> None:
    """Without a break the summary counts the frames, and there is no explanation."""
    verdict = breaks()

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.GRAPH_BREAKS
    assert verdict.summary == "0 graph breaks in 1 compiled frame"
    assert verdict.explanation == ()
    assert verdict.figures == {"graph_breaks": 0, "compiled_frames": 1, "operations": 7, "compile_ns": 1_000_000}


def test_the_summary_counts_the_compilations_of_each_kind_of_module() -> None:
    """Regional compilation reads as n blocks, 1 compile; frames resumed after a break are not counted as compiles."""
    block = frame(region="Block.forward")
    verdict = breaks(frames=(block, replace(block, is_resumed=True), frame()), modules=(UNET, BLOCKS))

    assert verdict.summary == ("0 graph breaks in 3 compiled frames; unet: 1 compile; unet Block: 4 blocks, 1 compile")


def test_graph_breaks_fail_with_the_lines_that_broke() -> None:
    """Each place has its line, its source, Dynamo's reason, number and hints; the allowance can be copied."""
    verdict = breaks(PRINTS, READS, frames=(frame(), frame(), frame(is_compiled=False)))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "2 graph breaks in 2 compiled frames"
    assert verdict.explanation == (
        "diffopt: 2 graph breaks (0 allowed)",
        "  models/own.py:12  in gate",
        "    print(x)",
        "    Failed to trace builtin operator  (GB0059)",
        "    hint: Remove the print",
        "    hint: Or use fullgraph=False",
        "  models/own.py:20  in gate",
        "    Tensor.item()",
        f"seen while compiling {SEEN}, 2 frames compiled",
        'to accept this: allow_graph_breaks=[AllowedGraphBreaks(where="own.py:gate", '
        'break_reason="Failed to trace builtin operator", reason="..."), '
        'AllowedGraphBreaks(where="own.py:gate", break_reason="Tensor.item()", reason="...")]',
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            BreakKind.GAVE_UP_THE_FUNCTION,
            "    the whole function runs uncompiled: Dynamo cannot resume after this line",
        ),
        (
            BreakKind.READ_IN_THE_GRAPH,
            "    fullgraph=True keeps the read in the graph; it still syncs the CPU with the GPU",
        ),
    ],
)
def test_the_effect_of_a_break_is_reported(kind: BreakKind, words: str) -> None:
    """A function that runs uncompiled and a read inside the graph are distinguished from a split graph."""
    assert words in breaks(replace(READS, kind=kind)).explanation


def test_allowed_breaks_pass_and_the_next_one_fails() -> None:
    """An allowance covers its function and its reason, and nothing else."""
    assert breaks(PRINTS, allow=(ALLOW_PRINT,)).outcome is Outcome.PASSED
    assert breaks(PRINTS, READS, allow=(ALLOW_PRINT, ALLOW_READ)).outcome is Outcome.PASSED

    verdict = breaks(PRINTS, READS, allow=(ALLOW_PRINT,))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[:3] == (
        "diffopt: 1 graph break (0 allowed)",
        "  models/own.py:20  in gate",
        "    Tensor.item()",
    )


def test_one_break_more_than_allowed_shows_all_of_its_kind() -> None:
    """The new break cannot be distinguished from the allowed ones."""
    other = replace(PRINTS, where=replace(PRINTS.where, line=30))
    verdict = breaks(PRINTS, other, allow=(ALLOW_PRINT,))

    assert verdict.explanation[0] == "diffopt: 2 graph breaks (1 allowed)"
    assert verdict.explanation[-1].endswith('break_reason="Failed to trace builtin operator", lines=2, reason="...")]')


def test_an_unused_allowance_fails() -> None:
    """The failure shows the reason of the allowance."""
    verdict = breaks(allow=(ALLOW_PRINT,))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 graph break allowance is no longer needed",
        "  own.py:gate (GB0059): 0 times (1 allowed); its reason: prints progress",
        f"seen while compiling {SEEN}, 1 frame compiled",
        "remove or lower it in allow_graph_breaks, so that the break cannot return unnoticed",
    )


def test_a_break_that_ended_the_call_fails_whatever_is_allowed() -> None:
    """`fullgraph=True` turns it into an error, so nothing after it was watched; no allowance accepts that."""
    record = CompilationRecord(subject=SUBJECT, frames=(), breaks=(PRINTS,), ended_by_fullgraph=True)
    verdict = judge_graph_breaks(record, allow=(ALLOW_PRINT,))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[0] == "diffopt: 1 graph break (0 allowed)"
    assert verdict.explanation[-1] == (
        "fullgraph=True makes it an error: fix the line, or compile without fullgraph to count the breaks"
    )


def test_a_break_without_frames_is_reported_as_a_break() -> None:
    """If Dynamo gave up every function, the failure is about breaks, not about nothing being compiled."""
    verdict = breaks(PRINTS, frames=())

    assert verdict.explanation[0] == "diffopt: 1 graph break (0 allowed)"
    assert verdict.explanation[-2] == f"seen while compiling {SEEN}, 0 frames compiled"


def test_a_compiled_module_that_is_never_called_fails() -> None:
    """Its graph was not checked, and compiling it has no effect."""
    decode = CompiledModule(name="vae.decode", region="VAE.decode", instances=1, has_run=False)
    verdict = breaks(modules=(UNET, decode))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 compiled module is never called",
        "  vae.decode  (VAE.decode)",
        f"seen while compiling {SEEN}, 1 frame compiled",
        "call this module in the test, or stop compiling it",
    )


def test_a_function_at_the_recompile_limit_fails() -> None:
    """It runs uncompiled from then on, which otherwise looks like one graph."""
    verdict = breaks(frames=(frame(), frame(is_compiled=False, hit_limit=True)))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 function reached Dynamo's recompile limit",
        "  UNet.forward  diffusers/unet.py:40: reached Dynamo's recompile limit; it now runs uncompiled",
        f"seen while compiling {SEEN}, 1 frame compiled",
        "use assert_no_recompiles to see the guards that fail",
    )


def test_nothing_compiled_fails() -> None:
    """A pipeline that was not compiled must not pass as one graph."""
    verdict = breaks(frames=())

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.concern is Concern.GRAPH_BREAKS
    assert verdict.summary == "nothing compiled"
    assert verdict.explanation == (
        "diffopt: nothing was compiled, so nothing was checked",
        "  watched since its first assertion, or since the optimized_pipeline fixture started",
        f"seen in {SEEN}",
        "add compile to the recipe, or remove this assertion",
    )


def test_the_hint_of_a_recipe_that_compiles_is_another() -> None:
    """Compilation was disabled: the recipe has it already."""
    subject = replace(SUBJECT, recipe="bf16 + compile")
    verdict = judge_graph_breaks(CompilationRecord(subject=subject, frames=(), breaks=()))

    assert verdict.explanation[-1] == (
        "the recipe compiles: find what disables it (torch.compiler.disable, torch.compiler.set_stance, "
        "a replaced module)"
    )


def test_operators_outside_the_graphs_are_reported() -> None:
    """They are counted in the failure and in the figures, as are the captured ones."""
    record = CompilationRecord(subject=SUBJECT, frames=(frame(), frame()), breaks=(PRINTS,), eager_operators=7)
    verdict = judge_graph_breaks(record)

    assert (
        verdict.explanation[-2]
        == f"seen while compiling {SEEN}, 2 frames compiled: 14 operators captured; a call runs 7 outside any graph"
    )
    assert verdict.figures["eager_operators"] == 7


def test_a_call_without_a_graph_is_unwatched_and_a_break_in_it_is_shown_first() -> None:
    """An allowed break leaves it unwatched."""
    record = CompilationRecord(subject=SUBJECT, frames=(frame(),), breaks=(PRINTS,), graph_calls=0)

    assert judge_graph_breaks(record).outcome is Outcome.REGRESSED
    assert judge_graph_breaks(record, allow=[ALLOW_PRINT]).outcome is Outcome.UNWATCHED
    assert judge_graph_breaks(replace(record, graph_calls=1), allow=[ALLOW_PRINT]).outcome is Outcome.PASSED
