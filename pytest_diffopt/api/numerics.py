"""`assert_compiled_matches_eager`: compiled modules return what they return uncompiled."""

from typing import Any

from pytest_diffopt.api.calls import call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.arguments import LIMIT, require
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.numerics import judge_numerics
from pytest_diffopt.probes.compile_failures import refuse_when_switched_off
from pytest_diffopt.probes.numerics import Tolerance, compare_with_eager
from pytest_diffopt.records import Concern


def assert_compiled_matches_eager(
    target: Any, /, *args: Any, rtol: float | None = None, atol: float | None = None, **inputs: Any
) -> None:
    """Assert that every compiled module returns what the same module returns uncompiled, output by output.

    Args:
        target: a pipeline or module with something compiled in it.
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
    call = watched_call(target, arguments, Concern.NUMERICS, subject)
    record = compare_with_eager(target, call, subject, tolerance=tolerance)
    conclude(record, judge_numerics(record))
