"""The assertions: a probe watches, a guard judges, the ledger keeps the verdict, and the test goes red or stays green.

Each takes any diffusers pipeline, also one that nobody registered here, and where it makes sense a bare callable or
module. Keywords that an assertion does not know are the call's own.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_diffopt.environment import torch_device
from pytest_diffopt.errors import ProbeError, RecipeError
from pytest_diffopt.guards.applied import judge_applied
from pytest_diffopt.guards.faster import judge_ratio
from pytest_diffopt.guards.syncs import AllowedSyncs, judge_syncs
from pytest_diffopt.guards.verdict import UNPROVEN, Verdict
from pytest_diffopt.records import AppliedRecord, Concern, Device, Record, Subject
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.ledger import entry_of

if TYPE_CHECKING:
    from pytest_diffopt.probes.syncs import SyncWatch
    from pytest_diffopt.recipes.recipe import Recipe
    from pytest_diffopt.session.pipeline_lifetimes import PipelineLifetime


def assert_optimizations_applied(
    pipeline: Any, /, *args: Any, recipe: "str | Recipe | None" = None, **inputs: Any
) -> None:
    """Assert that every optimization of the pipeline's recipe is really there.

    Args:
        pipeline: the living pipeline; what was asked of it counts for nothing.
        *args: with `inputs`, a call to make first, so that compiled code has had its chance to run.
        recipe: what must be there; by default what was applied to the pipeline, or what the test's marker names.
        **inputs: keywords of that call.

    Raises:
        RecipeError: nobody says what the recipe is.
    """
    __tracebackhide__ = True
    subject = lifetime_of(pipeline).subject
    if args or inputs:
        _calling(pipeline, args, inputs)()
    states = _recipe_for(pipeline, recipe).verify(pipeline)
    record = AppliedRecord(subject=subject, optimizations=states)
    conclude(record, judge_applied(record))


def assert_no_syncs(target: Any, /, *args: Any, allow_syncs: Sequence[AllowedSyncs] = (), **inputs: Any) -> None:
    """Assert that the CPU never waits for the GPU inside the denoise loop.

    With `--gpu` torch's sync debug mode watches the real one; without it the pipeline runs on a simulated GPU.

    Args:
        target: a pipeline; of a bare callable or module the whole call is watched, as if it were one step.
        *args: with `inputs`, the call; tensors among them are moved to the simulated GPU with the pipeline.
        allow_syncs: waits that are accepted, each with its place, count and reason.
        **inputs: keywords of the call.
    """
    __tracebackhide__ = True
    with no_syncs(target, allow_syncs=allow_syncs) as watch:
        _calling(target, watch.moved(args), watch.moved(inputs))()


@contextmanager
def no_syncs(target: Any, /, *, allow_syncs: Sequence[AllowedSyncs] = ()) -> "Iterator[SyncWatch]":
    """Assert the same of every call in a block; without `--gpu` the target is on the simulated GPU inside it.

    Args:
        target: the pipeline, callable or module that the block calls.
        allow_syncs: waits that are accepted, each with its place, count and reason.

    Yields:
        The watch; its `record` is complete after the block.
    """
    from pytest_diffopt.probes.calls import failures_noted  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.syncs import watch_syncs  # noqa: PLC0415 - imports torch

    subject = _on_watching_device(lifetime_of(target).subject)
    with watch_syncs(target, subject) as watch, failures_noted(target, Concern.SYNCS, subject):
        yield watch
    conclude(watch.record, judge_syncs(watch.record, allow=allow_syncs))


def assert_faster(target: Any, reference: Any, /, *args: Any, by: float = 1.0, **inputs: Any) -> None:
    """Assert that one pipeline is faster than another, both timed in turn in this very run.

    Args:
        target: a pipeline, module or function.
        reference: what it is compared with.
        *args: with `inputs`, the call that both make.
        by: how many times as fast it must be; 1.2 is 20 % more calls in the same time.
        **inputs: keywords of the call.

    Raises:
        ProbeError: `by` is no positive number, the clock cannot be trusted, or memory ran out.
    """
    __tracebackhide__ = True
    from pytest_diffopt.probes.latency import measure_ratio  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.timed_device import device_synchronizer  # noqa: PLC0415 - as above

    if not (math.isfinite(by) and by > 0):
        msg = f"assert_faster(by=...) must be a positive number, got: {by}"
        raise ProbeError(msg)
    test = active_test()
    subject, other = lifetime_of(target).subject, test.pipelines.lifetime_of(reference).subject
    record = measure_ratio(
        _calling(target, args, inputs),
        _calling(reference, args, inputs),
        synchronize=device_synchronizer(torch_device(subject.device)),
        subject=subject,
        reference=other,
        max_seconds=test.settings.max_seconds,
    )
    conclude(record, judge_ratio(record, demanded=by))


def conclude(record: Record, verdict: Verdict) -> None:
    """Write a verdict into the ledger, and end the test when it is not a good one."""
    test = active_test()
    test.entries.append(entry_of(test.nodeid, verdict, record))
    text = "\n".join([*verdict.explanation, *_torch_traceback_lines(record)])
    if verdict.is_failure:
        pytest.fail(text, pytrace=False)
    if verdict.outcome in UNPROVEN:
        pytest.skip(text)


def _torch_traceback_lines(record: Record) -> list[str]:
    """Return torch's own traceback of a compilation that raised, for those who ask for more with `-v`."""
    words: str = getattr(record, "torch_traceback", "")
    return ["", "torch's own traceback:", words] if words and active_test().settings.is_verbose else []


def lifetime_of(target: Any) -> "PipelineLifetime":
    """Return what is known of the pipeline that this test is about, its recipe as the marker names it."""
    test = active_test()
    return test.pipelines.lifetime_of(target, recipe=test.recipe_text)


def watched_call(
    target: Any, args: Sequence[Any], inputs: Mapping[str, Any], concern: Concern, subject: Subject
) -> Callable[[], Any]:
    """Return the call, with a word on whatever it raises."""
    from pytest_diffopt.probes.calls import failures_noted  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.compile_failures import failures_explained  # noqa: PLC0415 - as above

    call = _calling(target, args, inputs)

    def watched() -> Any:
        __tracebackhide__ = True
        with failures_noted(target, concern, subject), failures_explained():
            return call()

    return watched


def _calling(target: Any, args: Sequence[Any], inputs: Mapping[str, Any]) -> Any:
    from pytest_diffopt.probes.calls import repeatable_call  # noqa: PLC0415 - imports torch

    return repeatable_call(target, args, inputs)


def _recipe_for(pipeline: Any, recipe: "str | Recipe | None") -> "Recipe":
    from pytest_diffopt.recipes.grammar import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.recipes.recipe import recipe_of  # noqa: PLC0415 - imports torch

    if isinstance(recipe, str):
        return parse_recipe(recipe)
    known = recipe or recipe_of(pipeline)
    if known is not None:
        return known
    if not active_test().recipe_text:
        msg = (
            f"no recipe names the optimizations of this {type(pipeline).__name__}: mark the test with "
            '@pytest.mark.diffopt(recipe="...") or pass recipe="..."'
        )
        raise RecipeError(msg)
    return parse_recipe(active_test().recipe_text)


def _on_watching_device(subject: Subject) -> Subject:
    device = Device.CUDA if active_test().settings.use_gpu else Device.SIMULATED
    return replace(subject, device=device)
