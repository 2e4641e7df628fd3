"""The processes of the two sides: start them, take their answers as they come, and go on after one that dies."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.running import Budget

_ROOT = Path(__file__).parent.parent
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What one side is asked for.

    Attributes:
        side: the name of the side.
        cases: the names of the cases to read, in order.
        gpu_model: the simulated GPU.
        environment: the environment variables of its process.
    """

    side: str
    cases: Sequence[str]
    gpu_model: str
    environment: Mapping[str, str]


#: Called with the side, the case and its answer: `{"reading": ...}` or `{"failed": ...}`.
OnAnswer = Callable[[str, str, Mapping[str, Any]], None]


def read_sides(requests: Sequence[Request], on_answer: OnAnswer, *, budget: Budget) -> None:
    """Read both sides concurrently until every case has an answer or the budget is spent."""
    answers: queue.Queue[tuple[str, str, Mapping[str, Any]] | None] = queue.Queue()
    readers = [_Reader(request, answers.put) for request in requests if request.cases]
    for reader in readers:
        reader.start()
    running = len(readers)
    try:
        while running and not budget.is_spent:
            with suppress(queue.Empty):
                answer = answers.get(timeout=_POLL_SECONDS)
                if answer is None:
                    running -= 1
                else:
                    on_answer(*answer)
    finally:
        for reader in readers:
            reader.stop()


class _Reader(threading.Thread):
    """Reads the answers of one side; a process that dies is started again with the cases that are left."""

    def __init__(self, request: Request, put: Callable[[Any], None]) -> None:
        super().__init__(daemon=True)
        self._request = request
        self._put = put
        self._is_stopped = False
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        left = list(self._request.cases)
        while left and not self._is_stopped:
            died_in = self._answers_of_one_process(left)
            if died_in is not None and not self._is_stopped:
                self._answer(left, died_in, {"failed": self._how_it_ended()})
        self._put(None)

    def stop(self) -> None:
        """End the process."""
        self._is_stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        self.join()

    def _answers_of_one_process(self, left: list[str]) -> str | None:
        """Put the answers of a new process; return the case in which it died, or None if it answered them all."""
        request = json.dumps({"gpu_model": self._request.gpu_model, "cases": left})
        current: str = left[0]
        self._process = _started(self._request)
        with self._process as process:
            assert process.stdin is not None  # noqa: S101 - both are pipes
            assert process.stdout is not None  # noqa: S101
            process.stdin.write(request)
            process.stdin.close()
            for line in process.stdout:
                answer = json.loads(line)
                current = answer.pop("case")
                if "started" not in answer:
                    self._answer(left, current, answer)
        return current if left else None

    def _answer(self, left: list[str], case: str, answer: Mapping[str, Any]) -> None:
        if case in left:
            left.remove(case)
        self._put((self._request.side, case, answer))

    def _how_it_ended(self) -> str:
        code = self._process.returncode if self._process is not None else 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the process of the {self._request.side} side ended with {how}"


def _started(request: Request) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.agreement_sides", request.side],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env=dict(request.environment),
        start_new_session=True,  # an interrupt ends this process first, which then ends its sides
    )
