"""The messages between the controller and a worker, and the connection that carries them."""

import select
import socket
import time
from typing import Any

import msgspec

from pytest_diffopt.records import CountRecord, Environment, Subject

#: The version of these messages. A worker of another revision may have another one, so it is compared first.
PROTOCOL = 4
#: The environment variable that holds the file descriptor of a worker's end of the connection.
CONNECTION_VARIABLE = "DIFFOPT_WORKER_CONNECTION"
#: The environment variables that hold the folder whose code a worker runs, and that of the other worker.
OWN_TREE_VARIABLE, OTHER_TREE_VARIABLE = "DIFFOPT_WORKER_TREE", "DIFFOPT_WORKER_OTHER_TREE"

_CHUNK_BYTES = 65_536


class RunTest(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Run a test up to its call, warm the call up, and wait for the next request."""

    nodeid: str


class TimeCalls(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Make the call `repeats` times and return how long that took."""

    repeats: int


class CountCall(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Make the call once on the simulated GPU and return its counts."""


class FinishTest(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Let the test end."""


class Quit(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """End the worker."""


class Collected(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The worker has started and collected its tests.

    Attributes:
        protocol: its version of these messages.
        nodeids: the collected tests.
    """

    protocol: int
    nodeids: tuple[str, ...]


class Ready(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The call is warm and can be timed.

    Attributes:
        subject: the pipeline, module or function that is called.
        environment: the worker's machine and versions.
        warmup_ns: the durations of the warm-up calls.
        num_steps: denoise steps in one call; 0 without a denoise loop.
        num_threads: the number of CPU threads that torch uses; 0 for a call on a GPU.
        cpu_share: the CPU time of a call divided by its wall-clock time; 0 for a call on a GPU.
        gpu_uuid: the GPU's UUID as NVIDIA reports it; empty without a GPU.
        own_modules: the number of modules imported from the worker's own tree.
        foreign_modules: the modules imported from the other worker's tree. With any, both sides run the same code.
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
    """How long the calls took.

    Attributes:
        duration_ns: their wall-clock time.
        cpu_ns: the CPU time of all threads of the process meanwhile.
    """

    duration_ns: int
    cpu_ns: int


class Counted(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The counts of the call; None with the reason if it cannot be counted."""

    record: CountRecord | None
    why_not: str = ""


class EndedTest(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The test has ended.

    Attributes:
        outcome: pytest's outcome: `passed`, `failed` or `skipped`.
        text: pytest's report of the failure, or the reason of the skip.
    """

    outcome: str
    text: str


Request = RunTest | TimeCalls | CountCall | FinishTest | Quit
Answer = Collected | Ready | Timed | Counted | EndedTest


class ConnectionClosedError(Exception):
    """The other end of the connection is closed."""


class ConnectionTimeoutError(Exception):
    """The other end sent no message in time."""


class Connection:
    """One end of a connection. A message is one line of JSON."""

    def __init__(self, end: socket.socket) -> None:
        """Take ownership of a socket."""
        self._socket = end
        self._received = bytearray()

    def send(self, message: Request | Answer) -> None:
        """Send a message.

        Raises:
            ConnectionClosedError: the other end is closed.
        """
        try:
            self._socket.sendall(msgspec.json.encode(message) + b"\n")
        except OSError as error:
            raise ConnectionClosedError from error

    def receive(self, kinds: Any, *, timeout_seconds: float | None = None) -> Any:
        """Wait for a message.

        Args:
            kinds: the union of the accepted message types.
            timeout_seconds: how long to wait; None waits until the other end is closed.

        Raises:
            ConnectionClosedError: the other end is closed.
            ConnectionTimeoutError: no message arrived in time.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while b"\n" not in self._received:
            self._receive_some(deadline)
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        return msgspec.json.decode(line, type=kinds)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _receive_some(self, deadline: float | None) -> None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([self._socket], [], [], left)
        if not readable:
            raise ConnectionTimeoutError
        try:
            received = self._socket.recv(_CHUNK_BYTES)
        except OSError as error:
            raise ConnectionClosedError from error
        if not received:
            raise ConnectionClosedError
        self._received += received
