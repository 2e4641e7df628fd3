"""What the controller asks of a worker, what a worker answers, and the line between them."""

import select
import socket
import time
from typing import Any

import msgspec

from pytest_diffopt.records import CountRecord, Environment, Subject

#: A worker whose package is of another version may not understand; both say theirs first.
PROTOCOL = 3
#: The environment variable that names a worker's end of the line.
LINE_VARIABLE = "DIFFOPT_WORKER_LINE"
#: The environment variables that name the folder whose code a worker runs, and the other worker's.
OWN_TREE_VARIABLE, OTHER_TREE_VARIABLE = "DIFFOPT_WORKER_TREE", "DIFFOPT_WORKER_OTHER_TREE"

_CHUNK_BYTES = 65_536


class RunTest(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Run a test up to its call, warm that up, and wait."""

    nodeid: str


class TimeCalls(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Make the call so many times and say how long that took."""

    repeats: int


class CountCall(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Make the call once on the simulated GPU and say what it does."""


class FinishTest(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Let the test end."""


class Quit(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """End."""


class Collected(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The worker is there and knows these tests.

    Attributes:
        protocol: its version of these messages.
        nodeids: the tests.
    """

    protocol: int
    nodeids: tuple[str, ...]


class Ready(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The call is warm.

    Attributes:
        subject: what is called.
        environment: the worker's machine and versions.
        warmup_ns: the calls so far.
        num_steps: denoise steps in one; 0 without a loop.
        num_threads: threads that torch computes with on the processor; 0 for a call on a GPU.
        cpu_share: the processor time of a call over how long it takes; 0 for a call on a GPU.
        gpu_uuid: NVIDIA's number of the GPU; empty without one.
        own_modules: how many of the imported modules are from the worker's own tree.
        foreign_modules: those from the other worker's tree: they would make both sides the same.
    """

    subject: Subject
    environment: Environment
    warmup_ns: tuple[int, ...]
    num_steps: int
    num_threads: int
    cpu_share: float
    gpu_uuid: str
    own_modules: int
    foreign_modules: tuple[str, ...]


class Timed(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """How long the calls took, and how much of the processor's time.

    Attributes:
        duration_ns: by the clock on the wall.
        processor_ns: what all threads of the process computed meanwhile.
    """

    duration_ns: int
    processor_ns: int


class Counted(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What the call does; None with the reason where it cannot be counted."""

    record: CountRecord | None
    why_not: str = ""


class EndedTest(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The test is over.

    Attributes:
        outcome: pytest's word for it.
        text: what pytest would print of a failure, or why it was skipped.
    """

    outcome: str
    text: str


Request = RunTest | TimeCalls | CountCall | FinishTest | Quit
Answer = Collected | Ready | Timed | Counted | EndedTest


class LineClosedError(Exception):
    """The other end is gone."""


class LineSilentError(Exception):
    """The other end said nothing in time."""


class Line:
    """One end of a line: a message is one line of JSON."""

    def __init__(self, end: socket.socket) -> None:
        """Take hold of an end."""
        self._socket = end
        self._received = bytearray()

    def send(self, message: Request | Answer) -> None:
        """Send a message.

        Raises:
            LineClosedError: nobody is there to read it.
        """
        try:
            self._socket.sendall(msgspec.json.encode(message) + b"\n")
        except OSError as error:
            raise LineClosedError from error

    def receive(self, kinds: Any, *, timeout_seconds: float | None = None) -> Any:
        """Wait for a message.

        Args:
            kinds: the union of what it may be.
            timeout_seconds: how long to wait; None waits for as long as the other end lives.

        Raises:
            LineClosedError: the other end is gone.
            LineSilentError: nothing came in time.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while b"\n" not in self._received:
            self._receive_some(deadline)
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        return msgspec.json.decode(line, type=kinds)

    def close(self) -> None:
        """Let go."""
        self._socket.close()

    def _receive_some(self, deadline: float | None) -> None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([self._socket], [], [], left)
        if not readable:
            raise LineSilentError
        try:
            received = self._socket.recv(_CHUNK_BYTES)
        except OSError as error:
            raise LineClosedError from error
        if not received:
            raise LineClosedError
        self._received += received
