"""The verdict on compiled modules against eager, with every line of its text."""

from dataclasses import replace

from pytest_diffopt.guards.numerics import judge_numerics
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern, Float64Errors, NumericsRecord, OutputDifference, UncompiledCalls
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
    """The summary has the largest error."""
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(CLOSE,)))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.NUMERICS
    assert verdict.summary == "1 compiled module, largest error 0.0125 (bfloat16, unet[0])"
    assert verdict.explanation == ()


def test_equal_values_are_reported_as_equal() -> None:
    """The summary has no error."""
    same = replace(CLOSE, max_error=0.0)

    assert judge_numerics(NumericsRecord(subject=SUBJECT, differences=(same,))).summary == (
        "1 compiled module, equal values"
    )


def test_an_output_out_of_tolerance_fails() -> None:
    """Only this output is shown, with its error and the tolerance."""
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(CLOSE, FAR)))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 output of compiled modules differs from eager",
        "  vae.decode  bfloat16, 7 of 100 values out of tolerance, largest error 0.5, 0.25 x the largest value "
        "(1e-05 + 0.016 x the largest value allowed)",
        f"seen against eager on the same inputs, {SEEN}",
        "to accept this: rtol=..., atol=...",
    )


def test_outputs_that_cannot_be_compared_come_first() -> None:
    """A different shape is worse than a different value."""
    other = replace(CLOSE, problem="shape (2, 4) became (2, 5)")
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(FAR, other)))

    assert verdict.explanation[:2] == (
        "diffopt: 2 outputs of compiled modules differ from eager",
        "  unet[0]     shape (2, 4) became (2, 5)",
    )


def test_many_outputs_are_cut_short() -> None:
    """Only the worst are shown."""
    many = tuple(replace(FAR, module=f"unet.{index}") for index in range(10))
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=many))

    assert verdict.explanation[-3] == "  and 2 outputs more"


def test_a_compiled_module_that_is_never_called_fails() -> None:
    """Its outputs were not compared."""
    verdict = judge_numerics(NumericsRecord(subject=SUBJECT, differences=(CLOSE,), silent=("vae.decode",)))

    assert verdict.explanation == (
        "diffopt: 1 compiled module is never called",
        "  vae.decode was never called, so it was not compared",
        f"seen against eager on the same inputs, {SEEN}",
        "call this module in the test, or stop compiling it",
    )


EXACT = Float64Errors(compiled=0.001, eager=0.001, allowed=0.003, is_as_exact=True)


def test_a_larger_error_against_float64_fails_within_the_tolerance() -> None:
    """More than twice the eager error, and a unit in the last place."""
    record = NumericsRecord(
        subject=SUBJECT, differences=(replace(CLOSE, float64=replace(EXACT, compiled=0.0031, is_as_exact=False)),)
    )

    assert judge_numerics(record).explanation[:2] == (
        "diffopt: 1 output of compiled modules differs from eager",
        "  unet[0]  bfloat16, within the tolerance, but its error against float64 is 0.0031, eager's 0.001 "
        "(root mean squares, 0.003 allowed)",
    )


def test_an_output_out_of_tolerance_passes_if_it_is_as_exact_as_eager() -> None:
    """The difference is eager's rounding; an output that is less exact fails."""
    as_exact, less_exact = (replace(FAR, float64=replace(EXACT, is_as_exact=exact)) for exact in (True, False))

    assert judge_numerics(NumericsRecord(subject=SUBJECT, differences=(as_exact,))).outcome is Outcome.PASSED
    assert judge_numerics(NumericsRecord(subject=SUBJECT, differences=(less_exact,))).outcome is Outcome.REGRESSED


def test_calls_without_compiled_code_are_unwatched() -> None:
    """But a difference is a regression, whatever ran."""
    calls = UncompiledCalls(module="unet", uncompiled=2, calls=3)
    record = NumericsRecord(subject=SUBJECT, differences=(CLOSE,), uncompiled=(calls,))
    verdict = judge_numerics(record)

    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.summary == "1 compiled module ran no compiled code: eager was compared with eager"
    assert verdict.explanation[1] == "  unet  uncompiled in 2 of 3 calls"
    assert judge_numerics(replace(record, differences=(FAR,))).outcome is Outcome.REGRESSED
