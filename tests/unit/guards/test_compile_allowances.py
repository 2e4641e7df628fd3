"""Allowances for compilation name a function and a cause, never a number alone."""

from collections.abc import Callable

import pytest

from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks, AllowedRecompiles
from tests.unit.guards.compile_examples import GUIDANCE, PRINTS, SIZE, frame


@pytest.mark.parametrize("break_reason", ["GB0059", "Failed to trace builtin operator", "builtin operator"])
def test_a_break_is_matched_by_its_number_or_its_text(break_reason: str) -> None:
    """As a failure prints them."""
    assert AllowedGraphBreaks(where="own.py:gate", break_reason=break_reason, reason="expected").covers(PRINTS)


@pytest.mark.parametrize(("where", "break_reason"), [("own.py:other", "GB0059"), ("own.py:gate", "GB0170")])
def test_another_function_or_another_reason_is_not_covered(where: str, break_reason: str) -> None:
    """Both the function and the reason must match."""
    assert not AllowedGraphBreaks(where=where, break_reason=break_reason, reason="expected").covers(PRINTS)


@pytest.mark.parametrize("guard", ["guidance", "guidance == 5.0"])
def test_a_recompile_is_matched_by_its_guards_source_or_text(guard: str) -> None:
    """A first compilation has no failed guard, so no allowance covers it."""
    allowed = AllowedRecompiles(where="unet.py:forward", guard=guard, reason="expected")

    assert allowed.covers(frame(GUIDANCE))
    assert not allowed.covers(frame(SIZE))
    assert not allowed.covers(frame())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: AllowedGraphBreaks(where="own.py", break_reason="GB0059", reason="expected"),
            "AllowedGraphBreaks(where=...) must be 'file.py:function', got: 'own.py'",
        ),
        (
            lambda: AllowedGraphBreaks(where="own.py:gate", break_reason=" ", reason="expected"),
            "AllowedGraphBreaks(break_reason=...) must name the accepted cause in own.py:gate, got: ' '",
        ),
        (
            lambda: AllowedRecompiles(where="own.py:gate", guard="n", reason=""),
            "AllowedRecompiles(reason=...) must give a reason for accepting it in own.py:gate, got: ''",
        ),
        (
            lambda: AllowedRecompiles(where="own.py:gate", guard="n", reason="expected", times=0),
            "AllowedRecompiles(times=...) must be a whole number of at least 1, got: 0",
        ),
    ],
)
def test_an_allowance_without_place_cause_reason_or_number_is_refused(make: Callable[[], object], message: str) -> None:
    """The message has the rule and the value."""
    with pytest.raises(ValueError, match="Allowed") as caught:
        make()

    assert str(caught.value) == message
