"""`assert_faster`: one pipeline is faster than another, both timed in this run."""

from typing import Any

from pytest_diffopt.api.calls import call_arguments, lifetime_of, plain_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import POSITIVE_NUMBER, TARGET, require
from pytest_diffopt.environment import torch_device
from pytest_diffopt.guards.faster import judge_ratio
from pytest_diffopt.probes.host_time import timed_call
from pytest_diffopt.probes.latency import measure_ratio
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.session.active_test import active_test


@standing_alone
def assert_faster(target: Any, reference: Any, /, *args: Any, by: float = 1.0, **inputs: Any) -> None:
    """Assert that one pipeline is faster than another; calls of both are interleaved in this run.

    Args:
        target: a pipeline, module or function.
        reference: the pipeline, module or function to compare it with.
        *args: with `inputs`, the call that both make; one `PipelineInputs` may hold its keywords.
        by: the required speedup; 1.2 means 20 % more calls in the same time.
        **inputs: keywords of the call.

    Raises:
        ProbeError: an argument has the wrong type or value, the clock cannot be trusted, or memory ran out.
    """
    __tracebackhide__ = True
    require(POSITIVE_NUMBER, by, "assert_faster(by=...)")
    require(TARGET, reference, "the reference of assert_faster")
    arguments = call_arguments(target, args, inputs, asserted_by="assert_faster", own=("by",))
    test = active_test()
    subject, other = lifetime_of(target).subject, test.pipelines.lifetime_of(reference).subject
    with (
        timed_call(plain_call(target, arguments)) as call,
        timed_call(plain_call(reference, arguments)) as reference_call,
    ):
        record = measure_ratio(
            call,
            reference_call,
            synchronize=device_synchronizer(torch_device(subject.device)),
            subject=subject,
            reference=other,
            max_seconds=test.settings.max_seconds,
        )
    conclude(record, judge_ratio(record, required=by))
