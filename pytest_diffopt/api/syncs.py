"""`assert_no_syncs` and `no_syncs`: the denoise loop never synchronizes the CPU with the GPU."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pytest_diffopt.api.calls import WATCHED, CallArguments, call_arguments, on_watching_device, plain_call, subject_of
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import log_closed_outside_pytest, standing_alone
from pytest_diffopt.arguments import require, sequence_of
from pytest_diffopt.guards.syncs import AllowedSyncs, judge_syncs, needs_repetition
from pytest_diffopt.probes.calls import failures_noted
from pytest_diffopt.probes.own_calls import call_of
from pytest_diffopt.probes.syncs import SyncWatch, watch_syncs
from pytest_diffopt.records import Concern
from pytest_diffopt.session.active_test import active_test

_ALLOWED = sequence_of(AllowedSyncs, 'AllowedSyncs(where="file.py:function", per_step=1, reason="...")')


@standing_alone
def assert_no_syncs(target: Any, /, *args: Any, allow_syncs: Sequence[AllowedSyncs] = (), **inputs: Any) -> None:
    """Assert that the denoise loop never synchronizes the CPU with the GPU.

    A sync in the first step is a fault of the loop only if a second call has it too; otherwise it fills a cache, and is
    reported as that. This is known on the simulated GPU only.

    With `--diffopt-gpu`, torch's sync debug mode watches the real GPU; without, the pipeline runs on the simulated GPU.

    Args:
        target: a pipeline; the whole call of a function or module is watched as if it were one step.
        *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords. Tensors among them are moved to the
            simulated GPU with the pipeline.
        allow_syncs: accepted syncs, each with its place, count and reason.
        **inputs: keywords of the call.

    Raises:
        ProbeError: an argument has the wrong type.
    """
    __tracebackhide__ = True
    arguments = call_arguments(target, args, inputs, asserted_by="assert_no_syncs", own=("allow_syncs",))
    require(_ALLOWED, allow_syncs, "assert_no_syncs(allow_syncs=...)")
    with no_syncs(target, allow_syncs=allow_syncs) as watch:
        call = _moved_call(target, arguments, watch)
        call()
        if needs_repetition(watch.syncs_in_first_step, allow_syncs):
            watch.repeat(call)
        del call  # it holds the arguments on the simulated GPU


def _moved_call(target: Any, arguments: CallArguments, watch: SyncWatch) -> Callable[[], Any]:
    """Return the call with its tensors on the watched device; nothing else refers to them."""
    positional, keywords = tuple(watch.moved(arguments.positional)), watch.moved(dict(arguments.keywords))
    return plain_call(target, CallArguments(positional=positional, keywords=keywords))


@contextmanager
def no_syncs(target: Any, /, *, allow_syncs: Sequence[AllowedSyncs] = ()) -> Iterator[SyncWatch]:
    """Assert the same of every call in a block; without `--diffopt-gpu` the target is on the simulated GPU inside it.

    Args:
        target: the pipeline, function or module that the block calls.
        allow_syncs: accepted syncs, each with its place, count and reason.

    Yields:
        The watch; its `record` is complete after the block.

    Raises:
        ProbeError: an argument has the wrong type.
    """
    __tracebackhide__ = True
    require(WATCHED, target, "the target of no_syncs")
    require(_ALLOWED, allow_syncs, "no_syncs(allow_syncs=...)")
    with log_closed_outside_pytest():
        subject = on_watching_device(subject_of(target))
        with watch_syncs(target, subject) as watch, failures_noted(target, Concern.SYNCS, subject), call_of(target):
            yield watch
    may_allow_more = active_test().settings.may_allow_more
    conclude(watch.record, judge_syncs(watch.record, allow=allow_syncs, may_allow_more=may_allow_more))
