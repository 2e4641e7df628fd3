"""The verdict on recompiles, with what is excused and every line of its text."""

from dataclasses import replace
from typing import Any

import pytest

from pytest_diffopt.guards.compile_allowances import AllowedRecompiles
from pytest_diffopt.guards.recompiles import described, judge_recompiles
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CompiledFrame, Concern, FailedGuard, GuardKind, RecompileRecord, VariationRecompiles
from pytest_diffopt.records.code_location import UNKNOWN_LOCATION
from tests.unit.guards.compile_examples import GUIDANCE, PRINTS, SIZE, frame
from tests.unit.guards.guard_examples import SEEN, SUBJECT

ALLOWED = AllowedRecompiles(where="unet.py:forward", guard="guidance", reason="two values, both warmed up")


def call(name: str, *frames: CompiledFrame, changes_shape: bool = False) -> VariationRecompiles:
    """Return a varied call with these compilations."""
    return VariationRecompiles(variation=name, frames=frames, changes_shape=changes_shape)


def recompiles(*variations: VariationRecompiles, allow: tuple[AllowedRecompiles, ...] = (), **facts: Any) -> Verdict:
    """Judge these varied calls."""
    given: dict[str, Any] = {"subject": SUBJECT, "warmup_frames": (frame(),), "variations": variations}
    record = RecompileRecord(**(given | facts))
    return judge_recompiles(record, allow=allow)


def test_varied_calls_that_compile_nothing_pass() -> None:
    """Everything was compiled once, at warm-up."""
    verdict = recompiles(call("another seed"), call("call 2"))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.RECOMPILES
    assert verdict.summary == "0 recompiles in 2 varied calls"
    assert verdict.explanation == ()
    assert verdict.figures == {"recompiles": 0, "calls": 2}


def test_a_recompile_fails_with_the_call_and_the_guard_that_failed() -> None:
    """The variation, the function, the assumed and the new value; a first compilation is reported as one."""
    verdict = recompiles(call("guidance_scale=7.5", frame(GUIDANCE)), call("another seed", frame()))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "2 recompiles in 2 varied calls"
    assert verdict.explanation == (
        "diffopt: 2 recompiles (0 allowed)",
        "  guidance_scale=7.5: UNet.forward  diffusers/unet.py:40",
        "    `guidance` was float 5.0, is float 7.5: specialised on its value; pass a tensor",
        "    diffusers/unet.py:40  in forward",
        "      def forward(self, x):",
        "    torch: guidance == 5.0",
        "  another seed: UNet.forward  diffusers/unet.py:40",
        "    compiled for the first time after warm-up",
        f"seen in 2 varied calls of {SEEN}",
        'to accept this: allow_recompiles=[AllowedRecompiles(where="unet.py:forward", guard="guidance", reason="...")]',
    )


def test_the_same_guard_is_reported_once() -> None:
    """The first recompile in full, the others by their calls."""
    again = replace(GUIDANCE, old="float 7.5", new="float 9.0")
    verdict = recompiles(call("7.5", frame(GUIDANCE)), call("9.0", frame(again), frame(again)))

    assert verdict.explanation[0] == "diffopt: 3 recompiles (0 allowed)"
    assert verdict.explanation[6:] == (
        "    and 2 more: 9.0",
        f"seen in 2 varied calls of {SEEN}",
        'to accept this: allow_recompiles=[AllowedRecompiles(where="unet.py:forward", guard="guidance", times=3, '
        'reason="...")]',
    )


def test_a_recompile_during_warm_up_fails_unless_a_shape_changed() -> None:
    """Blocks of several sizes share a function; a value that changes in each step is not a shape."""
    by_value = recompiles(warmup_frames=(frame(), frame(GUIDANCE)))
    by_shape = recompiles(warmup_frames=(frame(), frame(SIZE)))

    assert by_value.outcome is Outcome.REGRESSED
    assert by_value.explanation[1] == "  warm-up: UNet.forward  diffusers/unet.py:40"
    assert by_shape.outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("frames", "outcome"),
    [
        ((frame(SIZE),), Outcome.PASSED),
        ((frame(SIZE), frame(SIZE)), Outcome.REGRESSED),
        ((frame(GUIDANCE),), Outcome.REGRESSED),
        ((frame(),), Outcome.REGRESSED),
    ],
    ids=["once", "twice", "another guard", "first time"],
)
def test_another_resolution_may_compile_each_function_once(frames: tuple[CompiledFrame, ...], outcome: Outcome) -> None:
    """Once for each shape at warm-up, and only because of a shape."""
    assert recompiles(call("1024 px", *frames, changes_shape=True)).outcome is outcome


def test_another_resolution_may_compile_as_often_as_warm_up_did() -> None:
    """Blocks of two sizes get two new sizes."""
    warmup = (frame(), frame(SIZE))
    verdict = recompiles(call("1024 px", frame(SIZE), frame(SIZE), changes_shape=True), warmup_frames=warmup)

    assert verdict.outcome is Outcome.PASSED


def test_another_resolution_may_compile_nothing_with_dynamic_true() -> None:
    """Dynamic shapes cover it."""
    verdict = recompiles(call("1024 px", frame(SIZE), changes_shape=True), is_dynamic=True)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[2] == (
        "    `latents` was size 16 in dimension 2, is size 24 in dimension 2: specialised on its shape; "
        "compile with dynamic=True"
    )


def test_allowed_recompiles_pass_and_one_more_fails() -> None:
    """Allowances are by function and guard."""
    assert recompiles(call("7.5", frame(GUIDANCE)), allow=(ALLOWED,)).outcome is Outcome.PASSED

    verdict = recompiles(call("7.5", frame(GUIDANCE)), call("9", frame(GUIDANCE)), allow=(ALLOWED,))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[0] == "diffopt: 2 recompiles (1 allowed)"


def test_an_unused_allowance_fails() -> None:
    """The failure shows the reason of the allowance."""
    verdict = recompiles(call("7.5"), allow=(ALLOWED,))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 recompile allowance is no longer needed",
        "  unet.py:forward (guidance): 0 times (1 allowed); its reason: two values, both warmed up",
        f"seen in {SEEN}",
        "remove or lower it in allow_recompiles, so that the recompile cannot return unnoticed",
    )


def test_a_module_that_is_no_longer_compiled_fails() -> None:
    """A module swapped after warm-up runs eagerly."""
    verdict = recompiles(call("call 1"), lost=("unet",))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 compiled module replaced by uncompiled code",
        "  unet was compiled at warm-up; its replacement is not compiled",
        f"seen in 1 varied call of {SEEN}",
        "compile the replacement before the first call",
    )


def test_a_function_at_the_recompile_limit_is_reported_with_its_failed_guards() -> None:
    """The eighth version was the last."""
    at_limit = frame(is_compiled=False, hit_limit=True)
    verdict = recompiles(call("call 1", frame(GUIDANCE), at_limit))

    assert verdict.explanation[0] == "diffopt: 1 recompile (0 allowed)"
    assert "  UNet.forward  diffusers/unet.py:40: reached Dynamo's recompile limit; it now runs uncompiled" in (
        verdict.explanation
    )


def test_the_recompile_limit_alone_fails() -> None:
    """Also where the recompiles before it are allowed."""
    verdict = recompiles(call("call 1", frame(is_compiled=False, hit_limit=True)))

    assert verdict.explanation == (
        "diffopt: 1 function reached Dynamo's recompile limit",
        "  UNet.forward  diffusers/unet.py:40: reached Dynamo's recompile limit; it now runs uncompiled",
        f"seen in 1 varied call of {SEEN}",
        "reduce the recompiles of this function: past the limit Dynamo runs it uncompiled",
    )


def test_a_break_that_ended_a_varied_call_is_reported_as_a_break() -> None:
    """`fullgraph=True` turned it into an error."""
    verdict = recompiles(breaks=(PRINTS,))

    assert verdict.concern is Concern.RECOMPILES
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[:3] == (
        "diffopt: 1 graph break (0 allowed)",
        "  models/own.py:12  in gate",
        "    print(x)",
    )


def test_frames_that_were_only_given_up_count_as_nothing_compiled() -> None:
    """Without compiled code nothing can recompile, so nothing was checked."""
    verdict = recompiles(call("call 1"), warmup_frames=(frame(is_compiled=False),))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.concern is Concern.RECOMPILES
    assert verdict.explanation[0] == "diffopt: nothing was compiled, so nothing was checked"


@pytest.mark.parametrize(
    ("kind", "old", "new", "words"),
    [
        (GuardKind.VALUE, "int 981", "int 961", "was int 981, is int 961: specialised on its value; pass a tensor"),
        (GuardKind.VALUE, "int 981", "", "was int 981: specialised on its value; pass a tensor"),
        (GuardKind.VALUE, "False", "True", "was False, is True: specialised on its value; always pass the same value"),
        (GuardKind.TYPE, "P", "Q", "was P, is Q: specialised on its type; always pass the same type"),
        (
            GuardKind.DTYPE,
            "dtype Float",
            "dtype Long",
            "was dtype Float, is dtype Long: compiled once per dtype; always pass the same dtype",
        ),
        (GuardKind.OTHER, "requires_grad=0", "", "was requires_grad=0"),
        (
            GuardKind.OBJECT,
            "",
            "AttnProcessor",
            "is a different AttnProcessor: specialised on the object's identity; pass the same object, or check its "
            "properties in forward",
        ),
        (GuardKind.SHAPE, "", "", "has a shape that the compiled code excludes: forward branches on its shape"),
    ],
)
def test_each_kind_of_guard_is_described(kind: GuardKind, old: str, new: str, words: str) -> None:
    """What it was, what it is, and what to do."""
    failed = FailedGuard(kind=kind, source="x", old=old, new=new, text="", where=UNKNOWN_LOCATION)

    assert described(failed) == f"`x` {words}"


def test_state_and_unknown_guards_name_no_source() -> None:
    """They have no source in the user's code."""
    state = FailedGuard(kind=GuardKind.GLOBAL_STATE, source="grad_mode", old="", new="", text="")
    shape = FailedGuard(kind=GuardKind.SHAPE, source="", old="", new="", text="'NoneType' has no 'size'")
    other = FailedGuard(kind=GuardKind.OTHER, source="", old="", new="", text="something")

    assert described(state) == (
        "torch's global state changed (grad_mode): compiled once per state; make every call in the same state"
    )
    assert described(shape) == "a shape guard failed; torch does not report for which tensor"
    assert described(other) == "a guard failed"


def test_a_varied_call_without_a_graph_is_unwatched_and_a_recompile_is_shown_first() -> None:
    """Only the calls without one are named."""
    unused = replace(call("another seed"), graph_calls=0)
    ran = replace(call("call 2"), graph_calls=3)

    verdict = recompiles(unused, ran)
    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.explanation[:2] == (
        "diffopt: no compiled graph ran in 1 of 2 varied calls: nothing was checked",
        "  another seed",
    )
    assert recompiles(unused, call("call 2", frame(GUIDANCE))).outcome is Outcome.REGRESSED
    assert recompiles(ran, ran).outcome is Outcome.PASSED
