"""Cold start compares whole-model and regional compilation of a pipeline."""

from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Subject
from pytest_diffopt.reports.cold_start import cold_start_lines
from pytest_diffopt.session.ledger import LedgerEntry

SECOND_NS = 1e9


def entry(recipe: str, seconds: float, concern: Concern = Concern.GRAPH_BREAKS) -> LedgerEntry:
    """Return a ledger entry with this compile time."""
    verdict = Verdict(
        concern=concern,
        outcome=Outcome.PASSED,
        subject=Subject(pipeline="sdxl", scale="tiny", recipe=recipe),
        summary="",
        figures={"compile_ns": seconds * SECOND_NS},
    )
    return LedgerEntry(nodeid="test_it", verdict=verdict, record={})


def test_whole_and_regional_compilation_share_a_line() -> None:
    """Recipes that differ only in `regional=True` are compared."""
    lines = cold_start_lines(
        [
            entry('bf16 + compile(target=["denoiser"])', 5.0),
            entry('bf16 + compile(target=["denoiser"], regional=True)', 2.0),
            entry("bf16 + compile", 6.0),
            entry("bf16 + compile(regional=True)", 3.0),
        ]
    )

    assert list(lines) == [
        'cold start of sdxl (tiny), bf16 + compile(target=["denoiser"]): whole 5.00 s, regional 2.00 s (2.50x as fast)',
        "cold start of sdxl (tiny), bf16 + compile: whole 6.00 s, regional 3.00 s (2.00x as fast)",
    ]


def test_a_single_recipe_has_no_line() -> None:
    """Different recipes and verdicts of other concerns are not compared either."""
    assert list(cold_start_lines([entry("bf16 + compile", 5.0), entry("fp32 + compile(regional=True)", 2.0)])) == []
    assert (
        list(cold_start_lines([entry("compile", 5.0), entry("compile(regional=True)", 2.0, Concern.RECOMPILES)])) == []
    )
