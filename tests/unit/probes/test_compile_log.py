"""The compile log knows for whose call a function was compiled, and when Dynamo was reset."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo import convert_frame

from pytest_diffopt.probes.compile_log import CompileLog, Owner
from pytest_diffopt.probes.own_calls import call_of
from pytest_diffopt.records import Subject

SUBJECT = Subject(pipeline="sdxl")
X = torch.ones(2)


class Doubles(nn.Module):
    """A model."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Double."""
        return x * 2


class BreaksInALoop(Doubles):
    """A model that Dynamo gives up, and that reaches the function of its base class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Break, and call it."""
        for _ in range(2):
            torch._dynamo.graph_break()
        return super().forward(x)


class Holds(nn.Module):
    """A model with a part of another class."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Doubles()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Call the part."""
        part: torch.Tensor = self.part(x)
        return part


class Negates(nn.Module):
    """A model of another class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Negate."""
        return -x


class Breaks(nn.Module):
    """A model that reaches a function through a graph break."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Break, and call the function."""
        torch._dynamo.graph_break()
        return helper(x)


class Helped(nn.Module):
    """Another model that may reach the function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Call the function."""
        return helper(x) + 1


def helper(x: torch.Tensor) -> torch.Tensor:
    """Halve, after a break of its own."""
    torch._dynamo.graph_break()
    return x / 2


@pytest.fixture
def log() -> Iterator[CompileLog]:
    """Return an open log; Dynamo knows nothing."""
    torch.compiler.reset()
    with CompileLog() as opened:
        yield opened
    torch.compiler.reset()


def compiled(model: nn.Module) -> nn.Module:
    """Compile a model in place."""
    model.compile(backend="eager", dynamic=False)
    return model


def owner_of(log: CompileLog, target: Any) -> Owner:
    """Return the owner that represents a target."""
    owner = log.owner_of(target)
    assert owner is not None
    return owner


def called(target: nn.Module, x: torch.Tensor = X) -> nn.Module:
    """Make a watched call."""
    with call_of(target):
        target(x)
    return target


def test_frames_belong_to_the_called_target(log: CompileLog) -> None:
    """What another target or a plain call compiles is not its own."""
    start, first, second = log.mark(), compiled(Doubles()), compiled(Helped())
    called(first)
    called(second)
    first(torch.ones(3))

    assert [one.region for one in log.since(start, SUBJECT, owner=log.owner_of(first)).frames] == ["Doubles.forward"]
    assert len(log.since(start, SUBJECT).frames) > 2


def test_what_a_fixture_compiles_is_claimed(log: CompileLog) -> None:
    """Outside of every call since a position; frames of other targets stay theirs."""
    other, start, own = called(compiled(Negates())), log.mark(), compiled(Doubles())
    own(X)
    log.claim(start, owner_of(log, own))

    assert [one.region for one in log.since(start, SUBJECT, owner=log.owner_of(own)).frames] == ["Doubles.forward"]
    assert not log.is_shared(own, owner_of(log, own))
    assert other is not own


@pytest.mark.parametrize("calls", [called, lambda model: model(X)], ids=["watched", "plain"])
def test_a_function_of_another_model_of_the_class_is_shared(log: CompileLog, calls: Any) -> None:
    """Its compiled code would serve this one; after a reset it is not known."""
    calls(compiled(Doubles()))
    model = compiled(Doubles())
    before = log.is_shared(model, owner_of(log, model))
    torch.compiler.reset()
    log.mark()

    assert before
    assert not log.is_shared(model, owner_of(log, model))


def test_a_model_of_another_class_shares_nothing(log: CompileLog) -> None:
    """Nor does one that is not compiled."""
    called(compiled(Doubles()))
    other, eager = compiled(Helped()), Doubles()

    assert not log.is_shared(other, owner_of(log, other))
    assert not log.is_shared(eager, owner_of(log, eager))


def test_a_function_behind_a_graph_break_may_be_shared(log: CompileLog) -> None:
    """Another class may reach it too."""
    called(compiled(Breaks()))
    other = compiled(Helped())

    assert log.is_shared(other, owner_of(log, other))


@pytest.mark.parametrize("kind", [BreaksInALoop, Holds])
def test_a_method_that_a_graph_break_may_reach_is_shared(log: CompileLog, kind: type[nn.Module]) -> None:
    """It may belong to a base class or to a part."""
    called(compiled(Doubles()))
    other, eager = compiled(kind()), kind()

    assert log.is_shared(other, owner_of(log, other))
    assert not log.is_shared(eager, owner_of(log, eager))


def test_what_a_plain_call_compiles_is_shared(log: CompileLog) -> None:
    """It is not known how the function was reached, and so not which target may reach it."""
    compiled(Breaks())(X)
    other = compiled(Negates())

    assert log.is_shared(other, owner_of(log, other))


def test_a_function_that_was_compiled_before_the_log_is_shared() -> None:
    """Dynamo knows it, although the log does not."""
    torch.compiler.reset()
    compiled(Doubles())(X)
    model = compiled(Doubles())
    with CompileLog() as log:
        is_shared = log.is_shared(model, owner_of(log, model))
    torch.compiler.reset()

    assert is_shared


def test_resets_are_counted(log: CompileLog) -> None:
    """Whether something was compiled since or not; a recompilation is no reset."""
    model, positions = compiled(Doubles()), [log.mark()]
    called(model)
    called(model, torch.ones(3))
    positions.append(log.mark())
    torch.compiler.reset()
    positions.append(log.mark())
    called(model)
    torch.compiler.reset()
    called(model)
    positions.append(log.mark())

    assert [one.resets for one in positions] == [0, 0, 1, 2]
    assert [one.is_after_reset for one in log.since(positions[0], SUBJECT).frames] == [False, False, True, True]


def test_a_pause_restores_dynamo() -> None:
    """Until the log is used again; another log stays. Pausing and resuming twice are not errors."""
    before = convert_frame._compile
    with CompileLog() as log:
        during = convert_frame._compile
        log.pause()
        log.pause()
        paused = convert_frame._compile
        log.resume()
        log.resume()
        resumed = convert_frame._compile

    assert paused is before is convert_frame._compile
    assert resumed.__module__ == during.__module__ == "pytest_diffopt._torch_private.compile_watching"


def test_a_pause_without_a_compilation_changes_nothing(log: CompileLog) -> None:
    """What was logged before it is still the target's own, and what is compiled after it is logged."""
    model = called(compiled(Doubles()))
    start = log.mark()
    log.pause()
    model(X)
    log.resume()
    shared_after_pause = log.is_shared(model, owner_of(log, model))
    called(model, torch.ones(3))

    assert not shared_after_pause
    assert [one.region for one in log.since(start, SUBJECT).frames] == ["Doubles.forward"]
    assert log.mark().resets == start.resets


def test_what_is_compiled_in_a_pause_is_shared(log: CompileLog) -> None:
    """With a model of the class, and with any function; not with models of other classes."""
    before, helped, function = called(compiled(Doubles())), compiled(Helped()), torch.compile(helper)
    log.pause()
    compiled(Helped())(X)
    log.resume()

    assert log.is_shared(helped, owner_of(log, helped))
    assert log.is_shared(function, owner_of(log, function))
    assert not log.is_shared(before, owner_of(log, before))


def test_what_is_compiled_again_in_a_pause_is_shared(log: CompileLog) -> None:
    """The target has compiled code that no call of an assertion has made."""
    model = called(compiled(Doubles()))
    log.pause()
    model(torch.ones(3))
    log.resume()

    assert log.is_shared(model, owner_of(log, model))


def test_a_reset_in_a_pause_is_counted(log: CompileLog) -> None:
    """Also if as many functions, or the same ones, were compiled again after it."""
    model = called(compiled(Doubles()))
    positions = [log.mark()]
    for calls in range(3):
        log.pause()
        torch.compiler.reset()
        for one in [model, compiled(Negates())][:calls]:
            one(X)
        log.resume()
        positions.append(log.mark())

    assert [one.resets for one in positions] == [0, 1, 2, 3]
    assert log.is_shared(model, owner_of(log, model))


def test_a_target_without_weak_references_has_no_owner(log: CompileLog) -> None:
    """Calling it is not an error."""
    with call_of((1, 2)):
        compiled(Doubles())(X)

    assert log.owner_of((1, 2)) is None
