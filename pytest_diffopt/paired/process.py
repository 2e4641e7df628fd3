"""A worker process of the controller: started, sent requests, and always terminated."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.messages import (
    CONNECTION_VARIABLE,
    OTHER_TREE_VARIABLE,
    OWN_TREE_VARIABLE,
    PROTOCOL,
    Collected,
    Connection,
    ConnectionClosedError,
    ConnectionTimeoutError,
    Quit,
    Request,
)
from pytest_diffopt.session.paired_worker import PAIRED_WORKER

_SHOWN_LINES = 20
_SHOWN_BYTES = 8192
_SECONDS_TO_END = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStart:
    """The arguments with which both workers are started.

    Attributes:
        files: the test files, relative to pytest's root.
        options: the command-line options of pytest.
        timeout_seconds: the time limit of each answer.
    """

    files: tuple[str, ...]
    options: tuple[str, ...]
    timeout_seconds: float


class Worker:
    """A process that runs the tests of one side, each up to its call, and times that call on request.

    It runs in its own process session, so Ctrl-C reaches only the controller, which then terminates it. It exits when
    the controller closes the connection.
    """

    def __init__(self, name: str, side: Side, other: Side, start: WorkerStart) -> None:
        """Start the process.

        Args:
            name: `base` or `head`.
            side: the code that it runs.
            other: the other side, whose code it must not import.
            start: the arguments of both workers.
        """
        self.name = name
        self.side = side
        self._timeout_seconds = start.timeout_seconds
        self._doing = "starting"
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
        ours, theirs = socket.socketpair()
        with theirs:
            self._connection = Connection(ours)
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter runs the user's own tests
                _command(side, start),
                cwd=side.folder,
                env=_environment(side, other, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def collected(self) -> frozenset[str]:
        """Wait until the worker has collected its tests, and return their ids.

        Raises:
            ProbeError: the worker exited, did not answer in time, or uses another version of the protocol.
        """
        answer: Collected = self.receive(Collected)
        if answer.protocol != PROTOCOL:
            msg = f"{self._label} uses protocol version {answer.protocol}, this process uses version {PROTOCOL}"
            raise ProbeError(msg)
        return frozenset(answer.nodeids)

    def ask(self, request: Request, kinds: Any, *, doing: str) -> Any:
        """Send a request and wait for its answer.

        Args:
            request: the request.
            kinds: the union of the accepted answer types.
            doing: what the worker does meanwhile, for error messages.

        Raises:
            ProbeError: the worker exited, or did not answer in time.
        """
        self.send(request, doing=doing)
        return self.receive(kinds)

    def send(self, request: Request, *, doing: str) -> None:
        """Send a request without waiting for its answer; see `receive`.

        Raises:
            ProbeError: the worker exited.
        """
        self._doing = doing
        try:
            self._connection.send(request)
        except ConnectionClosedError:
            raise self._exit_error() from None

    def receive(self, kinds: Any) -> Any:
        """Wait for the answer to the last request.

        Raises:
            ProbeError: the worker exited, or did not answer in time.
        """
        try:
            return self._connection.receive(kinds, timeout_seconds=self._timeout_seconds)
        except ConnectionClosedError:
            raise self._exit_error() from None
        except ConnectionTimeoutError:
            seconds = f"{self._timeout_seconds:g} s"
            msg = (
                f"{self._label} sent no answer for {seconds} while {self._doing}\n{self._last_output()}\n"
                "  to wait longer: --diffopt-worker-timeout SECONDS"
            )
            raise ProbeError(msg) from None

    def close(self) -> None:
        """Ask the process to exit, and terminate it if it does not."""
        with contextlib.suppress(ConnectionClosedError):
            self._connection.send(Quit())
        self._connection.close()
        self._terminate()
        self._output.close()

    def _exit_error(self) -> ProbeError:
        code = self._terminate()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return ProbeError(f"{self._label} exited while {self._doing} ({how})\n{self._last_output()}")

    def _terminate(self) -> int:
        """Wait for the process to exit, then terminate it and its children; return its exit status."""
        for ending in (None, signal.SIGTERM, signal.SIGKILL):
            if ending is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, ending)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(timeout=_SECONDS_TO_END)
        return self._process.wait()

    def _last_output(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _SHOWN_BYTES))
        lines = self._output.read().decode(errors="replace").splitlines()[-_SHOWN_LINES:]
        shown = [f"    {line}" for line in lines if line.strip()]
        return "\n".join(["  its last output:", *shown]) if shown else "  it printed nothing"

    @property
    def _label(self) -> str:
        return f"the {self.name} worker, {self.side.label},"


def _command(side: Side, start: WorkerStart) -> Sequence[str]:
    files = [file for file in start.files if (side.folder / file).exists()]
    return [sys.executable, "-m", "pytest", "-p", PAIRED_WORKER, *start.options, f"--rootdir={side.folder}", *files]


def _environment(side: Side, other: Side, connection: int) -> dict[str, str]:
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    kept = [path for path in inherited if not Path(path).resolve().is_relative_to(other.tree)]
    ours = [str(path) for path in side.import_paths]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE_"))}
    # With random hash seeds, sets are iterated in another order in each process, and the same code differs in speed.
    environment.setdefault("PYTHONHASHSEED", "0")
    return environment | {
        "PYTHONPATH": os.pathsep.join([*ours, *kept]),
        CONNECTION_VARIABLE: str(connection),
        OWN_TREE_VARIABLE: str(side.tree),
        OTHER_TREE_VARIABLE: str(other.tree),
    }
