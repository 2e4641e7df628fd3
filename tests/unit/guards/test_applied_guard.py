"""An optimization that is missing in any place fails, with what is missing."""

from pytest_diffopt.guards.applied import judge_applied
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import AppliedRecord, Concern, OptimizationState
from tests.unit.guards.guard_examples import SEEN, SUBJECT

BF16 = OptimizationState(name="bf16", found="10 of 10 parameters are bfloat16")
SDPA = OptimizationState(
    name="sdpa",
    found="3 of 4 attention layers use SDPA",
    missing=("1 of 4 attention layers of unet use AttnProcessor",),
)
COMPILE = OptimizationState(
    name="compile",
    found="compiled code ran for nothing",
    missing=("unet is not compiled", "vae.decode is not compiled"),
)


def record(*states: OptimizationState) -> AppliedRecord:
    """Return the record of a pipeline with these optimizations."""
    return AppliedRecord(subject=SUBJECT, optimizations=states)


def test_a_fully_applied_recipe_passes() -> None:
    """The summary lists what was found, and there is no explanation."""
    verdict = judge_applied(record(BF16, BF16))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.APPLIED
    assert verdict.summary == "bf16: 10 of 10 parameters are bfloat16; bf16: 10 of 10 parameters are bfloat16"
    assert verdict.explanation == ()
    assert verdict.figures == {"optimizations": 2, "unapplied": 0}


def test_an_optimization_that_did_nothing_fails() -> None:
    """The failure lists what was found and what is missing, without the optimizations that are applied."""
    verdict = judge_applied(record(BF16, SDPA))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "not applied: sdpa"
    assert verdict.explanation == (
        "diffopt: 1 of 2 optimizations is not applied",
        "  sdpa: 3 of 4 attention layers use SDPA",
        "    missing: 1 of 4 attention layers of unet use AttnProcessor",
        f"seen in {SEEN}",
        "fix how it is applied, or remove it from the recipe",
    )
    assert verdict.figures == {"optimizations": 2, "unapplied": 1}


def test_each_missing_thing_has_a_line() -> None:
    """All missing parts of several optimizations are listed in the recipe's order."""
    verdict = judge_applied(record(SDPA, COMPILE))

    assert verdict.summary == "not applied: sdpa, compile"
    assert verdict.explanation == (
        "diffopt: 2 of 2 optimizations are not applied",
        "  sdpa: 3 of 4 attention layers use SDPA",
        "    missing: 1 of 4 attention layers of unet use AttnProcessor",
        "  compile: compiled code ran for nothing",
        "    missing: unet is not compiled",
        "    missing: vae.decode is not compiled",
        f"seen in {SEEN}",
        "fix how it is applied, or remove it from the recipe",
    )


def test_one_optimization_is_written_in_the_singular() -> None:
    """A recipe of one optimization has a grammatical headline."""
    assert judge_applied(record(COMPILE)).explanation[0] == "diffopt: 1 of 1 optimization is not applied"
