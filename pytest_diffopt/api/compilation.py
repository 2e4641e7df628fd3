"""The assertions about `torch.compile`: one graph, never compiled again, and the same numbers as without it."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from pytest_diffopt.api.assertions import conclude, lifetime_of, watched_call
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks, AllowedRecompiles
from pytest_diffopt.guards.numerics import judge_numerics
from pytest_diffopt.guards.recompiles import judge_recompiles
from pytest_diffopt.records import Concern
from pytest_diffopt.session.active_test import active_test


def assert_no_graph_breaks(
    target: Any, /, *args: Any, allow_graph_breaks: Sequence[AllowedGraphBreaks] = (), **inputs: Any
) -> None:
    """Assert that compiling left the graph nowhere, since the pipeline was built and in one call more.

    What is compiled and never called is no less a failure: its graph was never looked at. Where a graph broke, one call
    more counts the operators that run outside of any.

    Args:
        target: a pipeline, module or function with something compiled in it.
        *args: with `inputs`, the call.
        allow_graph_breaks: breaks that are accepted, each with its function and reason.
        **inputs: keywords of the call.

    Raises:
        ProbeError: torch.compile is switched off, its backend is unknown, or it lacks a compiler.
    """
    __tracebackhide__ = True
    from pytest_diffopt.probes.compilation import watch_warmup  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.compile_failures import refuse_when_switched_off  # noqa: PLC0415 - as above
    from pytest_diffopt.probes.eager_operators import with_eager_operators  # noqa: PLC0415 - as above

    refuse_when_switched_off()
    lifetime, pipelines = lifetime_of(target), active_test().pipelines
    call = watched_call(target, args, inputs, Concern.GRAPH_BREAKS, lifetime.subject)
    record = watch_warmup(pipelines.log, lifetime.start, call, lifetime.subject, target=target)
    pipelines.note_warm(target)
    record = with_eager_operators(record, target, call, pipelines.log.namespaces)
    conclude(record, judge_graph_breaks(record, allow=allow_graph_breaks))


def assert_no_recompiles(
    target: Any,
    variations: Sequence[Mapping[str, Any]],
    /,
    *,
    allow_recompiles: Sequence[AllowedRecompiles] = (),
    dynamic: bool | None = None,
) -> None:
    """Assert that calls which differ as calls do in production compile nothing after warm-up.

    A call that says of itself that it changes shapes may compile each function once more, unless it was compiled with
    `dynamic=True`.

    Args:
        target: a pipeline, module or function with something compiled in it.
        variations: the calls' keywords; the first one also serves as warm-up.
        allow_recompiles: recompiles that are accepted, each with its function and guard.
        dynamic: it was compiled for any shape; by default what the pipeline's recipe says.

    Raises:
        ProbeError: there are no variations, torch.compile is switched off, its backend is unknown, or it lacks a
            compiler.
    """
    __tracebackhide__ = True
    from pytest_diffopt.probes.compilation import watch_recompiles  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.compile_failures import refuse_when_switched_off  # noqa: PLC0415 - as above

    refuse_when_switched_off()
    if not variations:
        msg = "assert_no_recompiles needs at least one call to make, got: no variations"
        raise ProbeError(msg)
    lifetime, pipelines = lifetime_of(target), active_test().pipelines

    def call(inputs: Mapping[str, Any]) -> object:
        __tracebackhide__ = True
        change = getattr(inputs, "change", None)
        with change(target) if change else nullcontext():
            return watched_call(target, (), inputs, Concern.RECOMPILES, lifetime.subject)()

    record = watch_recompiles(
        pipelines.log,
        call,
        variations,
        start=lifetime.start,
        warm=lifetime.warm,
        subject=lifetime.subject,
        target=target,
        is_dynamic=_is_dynamic(target) if dynamic is None else dynamic,
    )
    pipelines.note_warm(target)
    conclude(record, judge_recompiles(record, allow=allow_recompiles))


def assert_compiled_matches_eager(
    target: Any, /, *args: Any, rtol: float | None = None, atol: float | None = None, **inputs: Any
) -> None:
    """Assert that every compiled module gives what the same module gives uncompiled, output by output.

    Args:
        target: a pipeline or module with something compiled in it.
        *args: with `inputs`, the call.
        rtol: how much of the output's largest value a value may be off; without it and `atol`, torch.testing's figures
            for the dtype.
        atol: how much a value may be off besides.
        **inputs: keywords of the call.

    Raises:
        ProbeError: nothing is compiled, torch.compile is switched off, or one tolerance is given without the other.
    """
    __tracebackhide__ = True
    from pytest_diffopt.probes.compile_failures import refuse_when_switched_off  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.numerics import Tolerance, compare_with_eager  # noqa: PLC0415 - as above

    refuse_when_switched_off()
    if (rtol is None) != (atol is None):
        msg = f"rtol and atol belong together: give both or none, got: rtol={rtol}, atol={atol}"
        raise ProbeError(msg)
    tolerance = None if rtol is None or atol is None else Tolerance(relative=rtol, absolute=atol)
    subject = lifetime_of(target).subject
    call = watched_call(target, args, inputs, Concern.NUMERICS, subject)
    record = compare_with_eager(target, call, subject, tolerance=tolerance)
    conclude(record, judge_numerics(record))


def _is_dynamic(target: Any) -> bool:
    """Tell whether the recipe of a pipeline compiles for any shape."""
    from pytest_diffopt.recipes.recipe import recipe_of  # noqa: PLC0415 - imports torch

    recipe = recipe_of(target)
    return recipe is not None and any(getattr(one, "dynamic", None) is True for one in recipe.optimizations)
