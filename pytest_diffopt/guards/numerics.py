"""Judge how far the outputs of compiled modules are from eager."""

from pytest_diffopt.guards.failure_text import allowed, are, counted, explain, in_columns
from pytest_diffopt.guards.unwatched import unproven
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, NumericsRecord, NumericsReference, OutputDifference

_SHOWN = 8
_PARTS = {NumericsReference.EAGER: "compiled module", NumericsReference.DEQUANTIZED: "quantized layer"}
_WRONG = {
    NumericsReference.EAGER: "to accept this: rtol=..., atol=...",
    NumericsReference.DEQUANTIZED: "the kernel is wrong for this layer: use another format, or leave the layer out",
}
_SILENT = {
    NumericsReference.EAGER: "call this module in the test, or stop compiling it",
    NumericsReference.DEQUANTIZED: "call the quantized module in the test",
}
_WHY_UNCOMPILED = (
    "Dynamo skips this function or gave it up (a graph break, its recompile limit), or it is excluded from compilation "
    "(torch.compiler.disable, set_stance): assert_no_graph_breaks and assert_no_recompiles show why"
)


def judge_numerics(record: NumericsRecord) -> Verdict:
    """Judge a record: outputs out of tolerance, and compiled modules that are never called, are regressions.

    Against float64, a compiled output may have twice the error of the eager one. It may be out of tolerance if it is at
    least as exact as the eager one.

    A module that is called and runs uncompiled is unwatched: eager was compared with eager.
    """
    wrong = [one for one in record.differences if _is_wrong(one)]
    modules = {one.module for one in record.differences}
    outcome = Outcome.REGRESSED if wrong or record.silent else Outcome.PASSED
    if outcome is Outcome.PASSED and record.uncompiled:
        return _unwatched(record)
    return Verdict(
        concern=Concern.NUMERICS,
        outcome=outcome,
        subject=record.subject,
        summary=f"{counted(len(modules), _PARTS[record.reference])}, {_summary(record)}",
        explanation=_explanation(record, wrong) if outcome is not Outcome.PASSED else (),
        figures={"max_error": max((one.max_error for one in record.differences), default=0.0)},
    )


def _is_wrong(one: OutputDifference) -> bool:
    if one.float64 is None:
        return bool(one.problem or one.differing_values)
    is_inexact = one.float64.compiled > one.float64.allowed
    return bool(one.problem) or is_inexact or (one.differing_values > 0 and not one.float64.is_as_exact)


def _unwatched(record: NumericsRecord) -> Verdict:
    number = len(record.uncompiled)
    return unproven(
        Concern.NUMERICS,
        record.subject,
        f"{counted(number, 'compiled module')} ran no compiled code: eager was compared with eager",
        facts=[
            f"{one.module}  uncompiled in {one.uncompiled} of {counted(one.calls, 'call')}" for one in record.uncompiled
        ],
        hint=_WHY_UNCOMPILED,
        figures={"uncompiled_calls": sum(one.uncompiled for one in record.uncompiled)},
    )


def _explanation(record: NumericsRecord, wrong: list[OutputDifference]) -> tuple[str, ...]:
    wrong = sorted(wrong, key=lambda one: (not one.problem, -one.max_relative_error))
    silent = [f"{name} was never called, so it was not compared" for name in record.silent]
    left_out = len(wrong) - _SHOWN
    more = [f"and {counted(left_out, 'output')} more"] if left_out > 0 else []
    part = _PARTS[record.reference]
    differ = "differs" if len(wrong) == 1 else "differ"
    headline = (
        f"{counted(len(wrong), 'output')} of {part}s {differ} from {record.reference}"
        if wrong
        else f"{counted(len(silent), part)} {are(len(silent))} never called"
    )
    return explain(
        headline,
        [*in_columns((one.module + one.output, _facts(one)) for one in wrong[:_SHOWN]), *more, *silent],
        seen=f"against {record.reference} on the same inputs, {record.subject}",
        hint=_WRONG[record.reference] if wrong else _SILENT[record.reference],
    )


def _facts(one: OutputDifference) -> str:
    if one.problem:
        return one.problem
    if one.float64 is not None and not one.differing_values:
        return (
            f"{one.dtype}, within the tolerance, but its error against float64 is {one.float64.compiled:.3g}, eager's "
            f"{one.float64.eager:.3g} (root mean squares, {one.float64.allowed:.3g} allowed)"
        )
    tolerance = f"{one.absolute_tolerance:.3g} + {one.relative_tolerance:.3g} x the largest value"
    return (
        f"{one.dtype}, {one.differing_values} of {counted(one.values, 'value')} out of tolerance, largest error "
        f"{one.max_error:.3g}, {one.max_relative_error:.3g} x the largest value {allowed(tolerance)}"
    )


def _summary(record: NumericsRecord) -> str:
    worst = max(record.differences, key=lambda one: one.max_error, default=None)
    if worst is None or not worst.max_error:
        return "equal values"
    return f"largest error {worst.max_error:.3g} ({worst.dtype}, {worst.module}{worst.output})"
