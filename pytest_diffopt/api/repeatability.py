"""`assert_repeatable`: the same call returns the same output."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.api.second_process import answer, answers_here, values_of_second_process
from pytest_diffopt.arguments import CALLS, LIMIT, YES_OR_NO, require
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.probes.repeatability import compare_repeats, compare_values, copied_values
from pytest_diffopt.records import Concern, Subject

_OWN_KEYWORDS = ("max_error", "after", "second_process")


@standing_alone
def assert_repeatable(
    target: Any,
    /,
    *args: Any,
    max_error: float = 0.0,
    after: Sequence[Mapping[str, Any]] = (),
    second_process: bool = False,
    **inputs: Any,
) -> None:
    """Assert that the same call returns the same output twice: after other calls, in another order, in another process.

    Args:
        target: a pipeline, module or function.
        *args: with `inputs`, the call; generators are reset before the second one. One `PipelineInputs` may hold the
            keywords.
        max_error: the largest allowed difference of any value; 0 requires equal bits.
        after: keywords of other calls, such as `pipeline_variations`; a call with a change (`.within`) is made inside
            it. All calls are made one after another and then again in the opposite order; each must return what it
            returned before.
        second_process: make the second call in another process, which runs this same test up to here with another
            hash seed. Cannot be combined with `after`.
        **inputs: keywords of the call.

    Raises:
        ProbeError: an argument has the wrong type or value, the test cannot be run in another process, or `after` is
            combined with `second_process`.
    """
    __tracebackhide__ = True
    arguments = call_arguments(target, args, inputs, asserted_by="assert_repeatable", own=_OWN_KEYWORDS)
    require(LIMIT, max_error, "assert_repeatable(max_error=...)")
    require(CALLS, after, "assert_repeatable(after=...)")
    require(YES_OR_NO, second_process, "assert_repeatable(second_process=...)")
    subject = lifetime_of(target).subject
    call = watched_call(target, arguments, Concern.REPEATABILITY, subject)
    if second_process:
        _refuse_others(after)
        _assert_same_in_second_process(call, subject, max_error)
        return
    record = compare_repeats(call, subject, _other_calls(target, after, subject))
    conclude(record, judge_repeatability(record, max_error=max_error))


def _other_calls(target: Any, after: Sequence[Mapping[str, Any]], subject: Subject) -> Mapping[str, Callable[[], Any]]:
    """Return the calls that are made in between, by label."""
    return {
        getattr(other, "label", "") or f"other {number}": watched_call(
            target, CallArguments(keywords=other), Concern.REPEATABILITY, subject
        )
        for number, other in enumerate(after)
    }


def _refuse_others(after: Sequence[Mapping[str, Any]]) -> None:
    if after:
        others = counted(len(after), "call")
        msg = f"second_process=True makes only the test's own call: assert after=... separately, got: {others}"
        raise ProbeError(msg)


def _assert_same_in_second_process(call: Callable[[], Any], subject: Subject, max_error: float) -> None:
    __tracebackhide__ = True
    is_second = answers_here()
    values = copied_values(call())
    if is_second:
        answer(values)
    record = replace(compare_values(values, values_of_second_process(), subject), in_second_process=True)
    conclude(record, judge_repeatability(record, max_error=max_error))
