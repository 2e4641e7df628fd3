"""`assert_memory_stable`: the live memory between calls stops growing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_diffopt.api.calls import CallArguments, lifetime_of, on_watching_device, watched_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import CALLS, INTEGER, TARGET, require
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.memory_growth import judge_memory_growth
from pytest_diffopt.probes.calls import failures_noted
from pytest_diffopt.probes.memory_growth import measure_growth_cuda, measure_growth_simulated
from pytest_diffopt.records import Concern, MemoryGrowthRecord, Subject
from pytest_diffopt.session.active_test import active_test


@standing_alone
def assert_memory_stable(target: Any, calls: Sequence[Mapping[str, Any]], /, *, max_growth_bytes: int = 0) -> None:
    """Assert that calls leave no memory: exactly, and without a baseline.

    The first call is made twice, then all others, then the first once more. The live memory after its last repetition
    may not exceed that after the repetition before: a list, a hook or a cache keeps the difference. What is built at
    first use does not count. A cache that keeps something for each prompt counts, if the calls have more than one.

    With `--gpu` the real GPU's allocator is read; without it the simulated GPU counts, and the failure names the lines
    that allocated what stays.

    Args:
        target: a pipeline, module or function.
        calls: the keywords of each call, such as `pipeline_variations`; a call with a change (`.within`) is made inside
            it.
        max_growth_bytes: the allowed growth, for a cache that is meant to keep something for each kind of call.

    Raises:
        ProbeError: an argument has the wrong type, there is no call, or the allowed growth is negative.
    """
    __tracebackhide__ = True
    require(TARGET, target, "the target of assert_memory_stable")
    _refuse_nothing(calls, max_growth_bytes)
    labelled = [(getattr(one, "label", "") or f"call {number}", one) for number, one in enumerate(calls, start=1)]
    record = _measured(target, labelled, on_watching_device(lifetime_of(target).subject))
    conclude(record, judge_memory_growth(record, max_growth_bytes=max_growth_bytes))


def _measured(target: Any, calls: Sequence[tuple[str, Mapping[str, Any]]], subject: Subject) -> MemoryGrowthRecord:
    __tracebackhide__ = True
    if active_test().settings.use_gpu:
        return measure_growth_cuda(target, [(label, _call(target, one, subject)) for label, one in calls], subject)
    with failures_noted(target, Concern.MEMORY, subject):
        return measure_growth_simulated(target, calls, subject)


def _call(target: Any, keywords: Mapping[str, Any], subject: Subject) -> Callable[[], Any]:
    return watched_call(target, CallArguments(keywords=keywords), Concern.MEMORY, subject)


def _refuse_nothing(calls: Sequence[Mapping[str, Any]], max_growth_bytes: int) -> None:
    require(INTEGER, max_growth_bytes, "assert_memory_stable(max_growth_bytes=...)")
    if not isinstance(calls, Mapping):
        require(CALLS, calls, "the calls of assert_memory_stable")
    if not calls:
        msg = "assert_memory_stable needs at least one call, got: none; pass the keywords of each call in a list"
        raise ProbeError(msg)
    if isinstance(calls, Mapping):
        msg = (
            "assert_memory_stable takes a list of calls, got: the keywords of one call; "
            "pass [pipeline_inputs] or pipeline_variations"
        )
        raise ProbeError(msg)
    if max_growth_bytes < 0:
        msg = f"assert_memory_stable(max_growth_bytes=...) must be at least 0, got: {max_growth_bytes}"
        raise ProbeError(msg)
