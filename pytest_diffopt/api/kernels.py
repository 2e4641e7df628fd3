"""`assert_fewer_kernels`: one pipeline launches less than another in the same call."""

from dataclasses import replace
from typing import Any

from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import FACTOR, TARGET, require
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.kernels import judge_fewer_kernels
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.probes.kernels import count_kernels
from pytest_diffopt.probes.timeline import estimate_timeline
from pytest_diffopt.records import Concern, Device, FewerKernelsRecord, KernelRecord


@standing_alone
def assert_fewer_kernels(target: Any, reference: Any, /, *args: Any, by: float = 1.0, **inputs: Any) -> None:
    """Assert that a call launches fewer kernels and library calls than the same call of another pipeline.

    Both are counted on the null GPU, those inside CUDA graphs included.

    Args:
        target: a pipeline, module or function on the null GPU.
        reference: the pipeline, module or function to compare it with.
        *args: with `inputs`, the call that both make; one `PipelineInputs` may hold its keywords.
        by: the required factor: with 1.5 the reference launches at least half as many again; with 1.0, the default, it
            launches at least one more.
        **inputs: keywords of the call.

    Raises:
        ArgumentError: `by` is not a number of at least 1, or a pipeline cannot be called.
        ProbeError: a pipeline never entered its denoise loop.
    """
    __tracebackhide__ = True
    require(FACTOR, by, "assert_fewer_kernels(by=...)")
    require(TARGET, reference, "the reference of assert_fewer_kernels")
    arguments = call_arguments(target, args, inputs, asserted_by="assert_fewer_kernels", own=("by",))
    counted = counted_kernels(target, arguments)
    record = FewerKernelsRecord(
        subject=counted.subject, counted=counted, reference=counted_kernels(reference, arguments)
    )
    conclude(record, judge_fewer_kernels(record, demanded=by))


def counted_kernels(target: Any, arguments: CallArguments) -> KernelRecord:
    """Return what a warm call launches; a record without phases where this process does not run on the null GPU."""
    __tracebackhide__ = True
    subject = lifetime_of(target).subject
    if not is_active():
        name = capture_environment(subject.device).device_name
        return KernelRecord(subject=subject, seen_by=name, num_steps=0, phases=())
    # A module or a function has no device of its own: what it launches there is the evidence.
    subject = replace(subject, device=Device.NULL_GPU)
    call = watched_call(target, arguments, Concern.KERNELS, subject)
    return count_kernels(target, call, subject, seen_by=capture_environment(subject.device).device_name)


def with_timeline(record: KernelRecord, target: Any, arguments: CallArguments) -> KernelRecord:
    """Return the record with the estimated timeline of further calls, which are warm.

    Raises:
        NullGpuError: a call enqueues other work than the one before.
    """
    __tracebackhide__ = True
    call = watched_call(target, arguments, Concern.KERNELS, record.subject)
    return replace(record, timeline=estimate_timeline(target, call, record.subject))
