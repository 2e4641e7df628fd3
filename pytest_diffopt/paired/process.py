"""A worker as the controller sees it: started, asked, and ended whatever happens."""

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
    LINE_VARIABLE,
    OTHER_TREE_VARIABLE,
    OWN_TREE_VARIABLE,
    PROTOCOL,
    Collected,
    Line,
    LineClosedError,
    LineSilentError,
    Quit,
    Request,
)
from pytest_diffopt.session.settings import PAIRED_WORKER

_SHOWN_LINES = 20
_SHOWN_BYTES = 8192
_SECONDS_TO_END = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStart:
    """What both workers are started with.

    Attributes:
        files: the test files, from pytest's root.
        options: pytest's.
        timeout_seconds: for any one answer.
    """

    files: tuple[str, ...]
    options: tuple[str, ...]
    timeout_seconds: float


class Worker:
    """A process that runs tests of one side, each up to its call, and times that when it is asked to.

    It has a session of its own, so Ctrl-C reaches the controller alone, which then ends it. It ends itself when the
    controller is gone.
    """

    def __init__(self, name: str, side: Side, other: Side, start: WorkerStart) -> None:
        """Start the process.

        Args:
            name: `base` or `head`.
            side: what it runs.
            other: what it must not import from.
            start: what both are started with.
        """
        self.name = name
        self.side = side
        self._timeout_seconds = start.timeout_seconds
        self._doing = "starting"
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        ours, theirs = socket.socketpair()
        with theirs:
            self._line = Line(ours)
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, the user's own tests
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
        """The number of the process."""
        return self._process.pid

    def collected(self) -> frozenset[str]:
        """Wait until the worker knows its tests, and return their names.

        Raises:
            ProbeError: it ended before, was silent for too long, or is of another version.
        """
        answer: Collected = self.receive(Collected)
        if answer.protocol != PROTOCOL:
            msg = f"{self._who} speaks version {answer.protocol} of the protocol, this process version {PROTOCOL}"
            raise ProbeError(msg)
        return frozenset(answer.nodeids)

    def ask(self, request: Request, kinds: Any, *, doing: str) -> Any:
        """Send a request and wait for its answer.

        Args:
            request: what to do.
            kinds: the union of what the answer may be.
            doing: what the worker does meanwhile, for messages.

        Raises:
            ProbeError: it died, or was silent for too long.
        """
        self.send(request, doing=doing)
        return self.receive(kinds)

    def send(self, request: Request, *, doing: str) -> None:
        """Send a request; what it answers is still to be received.

        Raises:
            ProbeError: it died.
        """
        self._doing = doing
        try:
            self._line.send(request)
        except LineClosedError:
            raise self._died() from None

    def receive(self, kinds: Any) -> Any:
        """Wait for the answer to what was sent last.

        Raises:
            ProbeError: it died, or was silent for too long.
        """
        try:
            return self._line.receive(kinds, timeout_seconds=self._timeout_seconds)
        except LineClosedError:
            raise self._died() from None
        except LineSilentError:
            seconds = f"{self._timeout_seconds:g} s"
            msg = (
                f"{self._who} said nothing for {seconds} while {self._doing}\n{self._last_output()}\n"
                "  give it more time: --diffopt-worker-timeout"
            )
            raise ProbeError(msg) from None

    def close(self) -> None:
        """End the process, at once if it must be."""
        with contextlib.suppress(LineClosedError):
            self._line.send(Quit())
        self._line.close()
        self._end()
        self._output.close()

    def _died(self) -> ProbeError:
        code = self._end()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return ProbeError(f"{self._who} ended while {self._doing} ({how})\n{self._last_output()}")

    def _end(self) -> int:
        """Wait a little for the process to end by itself, then end it and whatever it started."""
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
        return "\n".join(["  its last output:", *shown]) if shown else "  it wrote nothing"

    @property
    def _who(self) -> str:
        return f"the {self.name} worker, {self.side.label},"


def _command(side: Side, start: WorkerStart) -> Sequence[str]:
    files = [file for file in start.files if (side.folder / file).exists()]
    return [sys.executable, "-m", "pytest", "-p", PAIRED_WORKER, *start.options, f"--rootdir={side.folder}", *files]


def _environment(side: Side, other: Side, line: int) -> dict[str, str]:
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    kept = [path for path in inherited if not Path(path).resolve().is_relative_to(other.tree)]
    ours = [str(path) for path in side.import_paths]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE_"))}
    # Sets that are walked in another order in each process make two processes of the same code differ in speed.
    environment.setdefault("PYTHONHASHSEED", "0")
    return environment | {
        "PYTHONPATH": os.pathsep.join([*ours, *kept]),
        LINE_VARIABLE: str(line),
        OWN_TREE_VARIABLE: str(side.tree),
        OTHER_TREE_VARIABLE: str(other.tree),
    }
