"""The call that a test asks an assertion to watch: its target, its arguments, and who may own a keyword."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from pytest_diffopt.arguments import TARGET, ArgumentError, Rule, require
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.probes.calls import failures_noted, repeatable_call
from pytest_diffopt.probes.compile_failures import failures_explained
from pytest_diffopt.probes.denoise_loop import has_denoise_loop
from pytest_diffopt.records import Concern, Device, Subject
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.device import device_of
from pytest_diffopt.session.pipeline_lifetimes import PipelineLifetime

#: Of a target that the user's code calls, in any way: what holds modules need not be callable itself.
WATCHED = Rule(
    text=TARGET.text,
    holds=lambda value: TARGET.holds(value) or (not isinstance(value, type) and bool(modules_of(value))),
    hint=TARGET.hint,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallArguments:
    """The arguments of the watched call.

    Attributes:
        positional: positional arguments.
        keywords: keyword arguments.
    """

    positional: tuple[Any, ...] = ()
    keywords: Mapping[str, Any]

    def __bool__(self) -> bool:
        """Whether the call has any argument."""
        return bool(self.positional or self.keywords)


def call_arguments(  # noqa: PLR0913 - each is a property of the call or of the assertion
    target: Any,
    args: Sequence[Any],
    inputs: Mapping[str, Any],
    *,
    asserted_by: str,
    own: Sequence[str] = (),
    is_called: bool = True,
) -> CallArguments:
    """Separate the arguments of the watched call from those of the assertion.

    Keywords that the assertion does not have belong to the call. One positional `PipelineInputs` holds keywords of the
    call whatever their names are, so that a pipeline whose `__call__` has a keyword of the assertion can be called.

    Args:
        target: a pipeline, module or function.
        args: positional arguments that the test passed.
        inputs: keyword arguments that the test passed and that are not the assertion's.
        asserted_by: the public name of the assertion, for messages.
        own: keywords of the assertion.
        is_called: whether the assertion calls the target, and does not only inspect it.

    Raises:
        ProbeError: the target cannot be called, a keyword could mean the assertion or the call, or a keyword is passed
            twice or in a dictionary.
    """
    require(TARGET if is_called else WATCHED, target, f"the target of {asserted_by}")
    _refuse_dictionary(target, args, asserted_by)
    holders = [one for one in args if isinstance(one, PipelineInputs)]
    if not holders:
        _refuse_ambiguous(target, asserted_by, own)
        return CallArguments(positional=tuple(args), keywords=inputs)
    if len(holders) > 1 or (twice := sorted(set(holders[0]) & set(inputs))):
        given = f"{len(holders)} PipelineInputs" if len(holders) > 1 else f"{', '.join(twice)} twice"
        msg = f"{asserted_by} takes the call's keywords once, got: {given}"
        raise ProbeError(msg)
    positional = tuple(one for one in args if not isinstance(one, PipelineInputs))
    return CallArguments(positional=positional, keywords={**holders[0], **inputs} if inputs else holders[0])


def _refuse_ambiguous(target: Any, asserted_by: str, own: Sequence[str]) -> None:
    parameters = _parameters(target)
    shared = [name for name in own if name in parameters]
    if shared:
        msg = (
            f"{', '.join(shared)} is a keyword of {asserted_by} and of {type(target).__name__}: pass the call's "
            f"keywords as one positional argument, {asserted_by}(pipeline, PipelineInputs({{...}}))"
        )
        raise ProbeError(msg)


def _refuse_dictionary(target: Any, args: Sequence[Any], asserted_by: str) -> None:
    """Refuse `check(pipeline, inputs)` with a dictionary of the call's keywords, which would be its first argument."""
    for one in args:
        if not isinstance(one, Mapping) or isinstance(one, PipelineInputs):
            continue
        if has_denoise_loop(target) or (one and set(one) <= set(_parameters(target))):
            msg = (
                f"{asserted_by} takes the call's keywords as **inputs, got: a dictionary as an argument of the call: "
                f"write {asserted_by}(pipeline, **inputs)"
            )
            raise ArgumentError(msg)


def _parameters(target: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a call of the target; none where Python knows no signature."""
    try:
        return inspect.signature(target.forward if isinstance(target, nn.Module) else target).parameters
    except (TypeError, ValueError):
        return {}


def lifetime_of(target: Any) -> PipelineLifetime:
    """Return the registered lifetime of the target, with the recipe that the test's marker names."""
    test = active_test()
    return test.pipelines.lifetime_of(target, recipe=test.recipe_text)


def subject_of(target: Any) -> Subject:
    """Return what the target is, for an assertion that judges no compiled code."""
    test = active_test()
    return test.pipelines.subject_of(target, recipe=test.recipe_text)


def on_watching_device(subject: Subject) -> Subject:
    """Return what the target is on the GPU that watches it: the session's, or the simulated one."""
    settings = active_test().settings
    return replace(subject, device=device_of(settings) if settings.use_gpu else Device.SIMULATED)


def plain_call(target: Any, arguments: CallArguments) -> Callable[[], Any]:
    """Return a function that makes the call, the same each time: generators are reset before each."""
    return repeatable_call(target, arguments.positional, arguments.keywords)


def watched_call(target: Any, arguments: CallArguments, concern: Concern, subject: Subject) -> Callable[[], Any]:
    """Return a function that makes the call; an exception gets a note of what was watched and how far the call came.

    If the keywords are `PipelineInputs` with a change (`.within`), the call is made inside that change.
    """
    call = plain_call(target, arguments)
    change = getattr(arguments.keywords, "change", None)

    def watched() -> Any:
        __tracebackhide__ = True
        with (
            change(target) if change else nullcontext(),
            failures_noted(target, concern, subject),
            failures_explained(),
        ):
            return call()

    return watched
