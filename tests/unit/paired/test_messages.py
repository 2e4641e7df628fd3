"""Messages arrive complete and in order; a closed connection and a timeout raise an error."""

import socket
from collections.abc import Iterator

import pytest

from pytest_diffopt.paired.messages import (
    Connection,
    ConnectionClosedError,
    ConnectionTimeoutError,
    Counted,
    EndedTest,
    Quit,
    RunTest,
    TimeCalls,
    Timed,
)


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """Both ends of a connection."""
    one, other = socket.socketpair()
    connections = Connection(one), Connection(other)
    yield connections
    for connection in connections:
        connection.close()


def test_messages_arrive_in_order_with_their_types(ends: tuple[Connection, Connection]) -> None:
    """Messages sent at once are separated; a line break in a text does not end a message."""
    controller, worker = ends
    controller.send(RunTest(nodeid="test_it.py::test[a\nb]"))
    controller.send(TimeCalls(repeats=3))

    assert worker.receive(RunTest | Quit) == RunTest(nodeid="test_it.py::test[a\nb]")
    assert worker.receive(TimeCalls | Quit) == TimeCalls(repeats=3)


def test_long_message_arrives_complete(ends: tuple[Connection, Connection]) -> None:
    """A traceback of 100,000 characters is longer than one read of the socket."""
    controller, worker = ends
    worker.send(EndedTest(outcome="failed", text="x" * 100_000))

    assert len(controller.receive(Timed | EndedTest).text) == 100_000


def test_timeout_raises_and_the_connection_stays_usable(ends: tuple[Connection, Connection]) -> None:
    """A later message is still received."""
    controller, worker = ends
    with pytest.raises(ConnectionTimeoutError):
        controller.receive(Timed, timeout_seconds=0.01)
    worker.send(Timed(duration_ns=5, cpu_ns=4))

    assert controller.receive(Timed) == Timed(duration_ns=5, cpu_ns=4)


def test_closed_connection_raises(ends: tuple[Connection, Connection]) -> None:
    """Both when receiving and when sending."""
    controller, worker = ends
    worker.close()

    with pytest.raises(ConnectionClosedError):
        controller.receive(Counted)
    with pytest.raises(ConnectionClosedError):
        controller.send(Quit())
