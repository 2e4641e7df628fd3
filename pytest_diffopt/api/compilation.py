"""`assert_no_graph_breaks` and `assert_no_recompiles`: one graph, compiled once."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import CALLS, TARGET, YES_OR_NO, require, sequence_of
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks, AllowedRecompiles
from pytest_diffopt.guards.recompiles import judge_recompiles
from pytest_diffopt.probes.compilation import watch_recompiles, watch_warmup
from pytest_diffopt.probes.compile_failures import refuse_when_switched_off
from pytest_diffopt.probes.eager_operators import with_eager_operators
from pytest_diffopt.recipes.recipe import recipe_of
from pytest_diffopt.records import Concern
from pytest_diffopt.session.active_test import active_test

_GRAPH_BREAKS = sequence_of(
    AllowedGraphBreaks, 'AllowedGraphBreaks(where="file.py:function", break_reason="...", reason="...")'
)
_RECOMPILES = sequence_of(AllowedRecompiles, 'AllowedRecompiles(where="file.py:function", guard="...", reason="...")')


@standing_alone
def assert_no_graph_breaks(
    target: Any, /, *args: Any, allow_graph_breaks: Sequence[AllowedGraphBreaks] = (), **inputs: Any
) -> None:
    """Assert that compilation had no graph break, from the build of the pipeline to the end of one more call.

    A module that is compiled and never called also fails: its graph was never captured. After a break, one more call
    counts the operators that run outside of every graph.

    Args:
        target: a pipeline, module or function with something compiled in it.
        *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
        allow_graph_breaks: accepted breaks, each with its function and reason.
        **inputs: keywords of the call.

    Raises:
        ProbeError: an argument has the wrong type, torch.compile is switched off, its backend is unknown, or a compiler
            is missing.
    """
    __tracebackhide__ = True
    refuse_when_switched_off()
    require(_GRAPH_BREAKS, allow_graph_breaks, "assert_no_graph_breaks(allow_graph_breaks=...)")
    own = ("allow_graph_breaks",)
    arguments = call_arguments(target, args, inputs, asserted_by="assert_no_graph_breaks", own=own)
    lifetime, pipelines = lifetime_of(target), active_test().pipelines
    call = watched_call(target, arguments, Concern.GRAPH_BREAKS, lifetime.subject)
    record = watch_warmup(pipelines.log_of(lifetime), lifetime.start, call, lifetime.subject, target=target)
    pipelines.note_warm(target)
    record = with_eager_operators(record, target, call, pipelines.log.namespaces)
    may_allow_more = active_test().settings.may_allow_more
    conclude(record, judge_graph_breaks(record, allow=allow_graph_breaks, may_allow_more=may_allow_more))


@standing_alone
def assert_no_recompiles(
    target: Any,
    variations: Sequence[Mapping[str, Any]],
    /,
    *,
    allow_recompiles: Sequence[AllowedRecompiles] = (),
    dynamic: bool | None = None,
) -> None:
    """Assert that varied calls compile nothing after warm-up.

    A call that is marked as changing shapes may compile each function once more, unless it was compiled with
    `dynamic=True`.

    Args:
        target: a pipeline, module or function with something compiled in it.
        variations: keywords of each call; the first call is also the warm-up.
        allow_recompiles: accepted recompiles, each with its function and guard.
        dynamic: whether it was compiled for any shape; by default as the pipeline's recipe has it.

    Raises:
        ProbeError: an argument has the wrong type, there are no variations, torch.compile is switched off, its backend
            is unknown, or a compiler is missing.
    """
    __tracebackhide__ = True
    refuse_when_switched_off()
    require(TARGET, target, "the target of assert_no_recompiles")
    require(CALLS, variations, "the variations of assert_no_recompiles")
    require(_RECOMPILES, allow_recompiles, "assert_no_recompiles(allow_recompiles=...)")
    require(YES_OR_NO.or_none(), dynamic, "assert_no_recompiles(dynamic=...)")
    if not variations:
        msg = "assert_no_recompiles needs at least one call to make, got: no variations"
        raise ProbeError(msg)
    lifetime, pipelines = lifetime_of(target), active_test().pipelines

    def call(inputs: Mapping[str, Any]) -> object:
        __tracebackhide__ = True
        return watched_call(target, CallArguments(keywords=inputs), Concern.RECOMPILES, lifetime.subject)()

    record = watch_recompiles(
        pipelines.log_of(lifetime),
        call,
        variations,
        start=lifetime.start,
        warm=lifetime.warm,
        subject=lifetime.subject,
        target=target,
        is_dynamic=_is_dynamic(target) if dynamic is None else dynamic,
    )
    pipelines.note_warm(target)
    may_allow_more = active_test().settings.may_allow_more
    conclude(record, judge_recompiles(record, allow=allow_recompiles, may_allow_more=may_allow_more))


def _is_dynamic(target: Any) -> bool:
    """Return whether the recipe of a pipeline compiles for any shape, or for the shapes that it names."""
    recipe = recipe_of(target)
    return recipe is not None and any(
        getattr(one, "dynamic", None) is True or bool(getattr(one, "dynamic_shapes", None))
        for one in recipe.optimizations
    )
