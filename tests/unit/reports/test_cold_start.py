"""The cold start of a pipeline compiled whole stands beside the one of its blocks."""

from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Subject
from pytest_diffopt.reports.cold_start import cold_start_lines
from pytest_diffopt.session.ledger import LedgerEntry

SECOND_NS = 1e9


def entry(recipe: str, seconds: float, concern: Concern = Concern.GRAPH_BREAKS) -> LedgerEntry:
    """Pretend that compiling this recipe took so long."""
    verdict = Verdict(
        concern=concern,
        outcome=Outcome.PASSED,
        subject=Subject(pipeline="sdxl", scale="tiny", recipe=recipe),
        summary="",
        figures={"compile_ns": seconds * SECOND_NS},
    )
    return LedgerEntry(nodeid="test_it", verdict=verdict, record={})


def test_both_ways_stand_side_by_side() -> None:
    """Recipes that differ only in `regional=True` belong together."""
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


def test_one_way_alone_is_no_comparison() -> None:
    """Nor are two pipelines, or verdicts about something else."""
    assert list(cold_start_lines([entry("bf16 + compile", 5.0), entry("fp32 + compile(regional=True)", 2.0)])) == []
    assert (
        list(cold_start_lines([entry("compile", 5.0), entry("compile(regional=True)", 2.0, Concern.RECOMPILES)])) == []
    )
