"""Messages come over the line whole and in order; an end that is gone or silent is told."""

import socket
from collections.abc import Iterator

import pytest

from pytest_diffopt.paired.messages import (
    Counted,
    EndedTest,
    Line,
    LineClosedError,
    LineSilentError,
    Quit,
    RunTest,
    TimeCalls,
    Timed,
)


@pytest.fixture
def ends() -> Iterator[tuple[Line, Line]]:
    """Both ends of a line."""
    one, other = socket.socketpair()
    lines = Line(one), Line(other)
    yield lines
    for line in lines:
        line.close()


def test_messages_arrive_in_order_and_of_their_kind(ends: tuple[Line, Line]) -> None:
    """Several sent at once are told apart; a line break within a text is no end."""
    controller, worker = ends
    controller.send(RunTest(nodeid="test_it.py::test[a\nb]"))
    controller.send(TimeCalls(repeats=3))

    assert worker.receive(RunTest | Quit) == RunTest(nodeid="test_it.py::test[a\nb]")
    assert worker.receive(TimeCalls | Quit) == TimeCalls(repeats=3)


def test_a_long_message_arrives_whole(ends: tuple[Line, Line]) -> None:
    """A traceback of 100,000 characters is longer than what comes at once."""
    controller, worker = ends
    worker.send(EndedTest(outcome="failed", text="x" * 100_000))

    assert len(controller.receive(Timed | EndedTest).text) == 100_000


def test_silence_is_reported(ends: tuple[Line, Line]) -> None:
    """Who waits for too long is told, and can go on waiting."""
    controller, worker = ends
    with pytest.raises(LineSilentError):
        controller.receive(Timed, timeout_seconds=0.01)
    worker.send(Timed(duration_ns=5, processor_ns=4))

    assert controller.receive(Timed) == Timed(duration_ns=5, processor_ns=4)


def test_an_end_that_is_gone_is_reported(ends: tuple[Line, Line]) -> None:
    """Both to who waits and to who sends."""
    controller, worker = ends
    worker.close()

    with pytest.raises(LineClosedError):
        controller.receive(Counted)
    with pytest.raises(LineClosedError):
        controller.send(Quit())
