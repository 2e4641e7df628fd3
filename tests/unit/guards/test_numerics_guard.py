"""Compiled modules beside eager ones: what is red, and every word of it."""

from dataclasses import replace

from pytest_diffopt.guards.numerics import judge_numerics
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern, NumericsRecord, OutputDifference
from tests.unit.guards.guard_examples import SEEN, SUBJECT

CLOSE = OutputDifference(
    module="unet",
    output="[0]",
    dtype="bfloat16",
    calls=2,
    values=100,
    differing_values=0,
    max_error=0.0125,
    max_relative_error=0.0107,
    relative_tolerance=0.016,
    absolute_tolerance=1e-5,
)
FAR = replace(CLOSE, module="vae.decode", output="", differing_values=7, max_error=0.5, max_relative_error=0.25)


def test_outputs_within_the_tolerance_pass() -> None:
    """The summary tells the largest error."""
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(CLOSE,)))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.NUMERICS
    assert verdict.summary == "1 compiled module, largest error 0.0125 (bfloat16, unet[0])"
    assert verdict.explanation == ()


def test_equal_values_are_reported_to_be_equal() -> None:
    """There is no largest error to tell."""
    same = replace(CLOSE, max_error=0.0)

    assert judge_numerics(NumericsRecord(subject=SUBJECT, differences=(same,))).summary == (
        "1 compiled module, equal values"
    )


def test_an_output_that_is_too_far_off_fails() -> None:
    """Only that one is told, with its error and what is allowed."""
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(CLOSE, FAR)))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 output of compiled modules differs from eager",
        "  vae.decode  bfloat16, 7 of 100 values out of tolerance, largest error 0.5, 0.25 x the largest value "
        "(1e-05 + 0.016 x the largest value allowed)",
        f"seen against eager on the same inputs, {SEEN}",
        "to accept this: rtol=..., atol=...",
    )


def test_what_cannot_be_compared_stands_first() -> None:
    """Another shape is worse than another number."""
    other = replace(CLOSE, problem="shape (2, 4) became (2, 5)")
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(FAR, other)))

    assert verdict.explanation[:2] == (
        "diffopt: 2 outputs of compiled modules differ from eager",
        "  unet[0]     shape (2, 4) became (2, 5)",
    )


def test_many_outputs_are_cut_short() -> None:
    """The worst are shown."""
    many = tuple(replace(FAR, module=f"unet.{index}") for index in range(10))
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=many))

    assert verdict.explanation[-3] == "  and 2 outputs more"


def test_a_compiled_module_that_was_never_called_fails() -> None:
    """Nothing of it was compared."""
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(CLOSE,), silent=("vae.decode",)))

    assert verdict.explanation == (
        "diffopt: 1 compiled module is never called",
        "  vae.decode was never called, so it was not compared",
        f"seen against eager on the same inputs, {SEEN}",
        "call this module in the test, or stop compiling it",
    )
