"""Compiled modules return what they return uncompiled, and quantized layers what their dequantized weights return."""

from typing import Any

from pytest_diffopt.api.calls import call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import LIMIT, require
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.numerics import judge_numerics
from pytest_diffopt.probes.compile_failures import refuse_when_switched_off
from pytest_diffopt.probes.numerics import Tolerance, compare_with_eager
from pytest_diffopt.probes.own_calls import call_of
from pytest_diffopt.probes.quantized_layers import compare_with_dequantized
from pytest_diffopt.records import Concern
from pytest_diffopt.session.active_test import active_test


@standing_alone
def assert_compiled_matches_eager(
    target: Any, /, *args: Any, rtol: float | None = None, atol: float | None = None, **inputs: Any
) -> None:
    """Assert that every compiled module returns what the same module returns uncompiled, output by output.

    Compiled methods and functions among the attributes of the pipeline, its modules and their classes are compared too.
    A call in which no compiled graph ran proves nothing, and fails.

    Args:
        target: a pipeline or module with something compiled in it, or a compiled function.
        *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
        rtol: allowed error as a fraction of the output's largest value; without it and `atol`, torch.testing's
            tolerances for the dtype.
        atol: allowed absolute error, added to it.
        **inputs: keywords of the call.

    Raises:
        ProbeError: nothing is compiled, torch.compile is switched off, or one tolerance is given without the other.
    """
    __tracebackhide__ = True
    refuse_when_switched_off()
    require(LIMIT.or_none(), rtol, "assert_compiled_matches_eager(rtol=...)")
    require(LIMIT.or_none(), atol, "assert_compiled_matches_eager(atol=...)")
    own = ("rtol", "atol")
    arguments = call_arguments(target, args, inputs, asserted_by="assert_compiled_matches_eager", own=own)
    if (rtol is None) != (atol is None):
        msg = f"rtol and atol belong together: give both or none, got: rtol={rtol}, atol={atol}"
        raise ProbeError(msg)
    tolerance = None if rtol is None or atol is None else Tolerance(relative=rtol, absolute=atol)
    subject = lifetime_of(target).subject
    with call_of(target):
        record = compare_with_eager(
            target,
            watched_call(target, arguments, Concern.NUMERICS, subject),
            subject,
            tolerance=tolerance,
            call_instead=lambda function: watched_call(function, arguments, Concern.NUMERICS, subject)(),
            namespaces=active_test().pipelines.log.namespaces,
        )
    conclude(record, judge_numerics(record))


@standing_alone
def assert_quantized_matches_dequantized(target: Any, /, *args: Any, **inputs: Any) -> None:
    """Assert that every quantized linear layer returns the product of its input and its dequantized weight.

    The product is computed in float64. The allowed error is torch.testing's for the dtype, relative to the output's
    largest value; a layer that quantizes its activations may also differ by 8 standard deviations of their rounding.
    Compiled modules run uncompiled in this call.

    Args:
        target: a pipeline or module with quantized layers.
        *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
        **inputs: keywords of the call.

    Raises:
        ProbeError: no layer is quantized.
    """
    __tracebackhide__ = True
    arguments = call_arguments(target, args, inputs, asserted_by="assert_quantized_matches_dequantized")
    subject = lifetime_of(target).subject
    record = compare_with_dequantized(target, watched_call(target, arguments, Concern.NUMERICS, subject), subject)
    conclude(record, judge_numerics(record))
