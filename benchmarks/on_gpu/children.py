"""Starts the process of a case, and ends it and all that it started when its time is over."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
# What the paired gate starts has sessions of its own, and is given some seconds to end by itself.
_SECONDS_TO_END = 20.0


def ask_child(
    command: str, options: Sequence[str], log: Path, case: str, seconds: float | None = None
) -> dict[str, Any] | None:
    """Run `one_case` and return its answer, or None when it was cut off.

    A process that ends without an answer is a result too: `failed`, with its exit code.

    Args:
        command: the command's name.
        options: of `one_case`.
        log: where it writes what it has to say, after what is there.
        case: the case's name.
        seconds: its time; None for as long as it takes.
    """
    with tempfile.TemporaryDirectory(prefix="on-gpu-") as folder:
        answer = Path(folder) / "answer.json"
        line = [sys.executable, "-m", "benchmarks.on_gpu.one_case", command, case, str(answer), *options]
        # A session of its own: Inductor's compile workers, and pytest's, end with it.
        with (
            log.open("a", encoding="utf-8") as file,
            subprocess.Popen(line, cwd=_ROOT, stdout=file, stderr=file, start_new_session=True) as process,
        ):
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None
            finally:
                _end(process)
        if answer.exists():
            return dict(json.loads(answer.read_text(encoding="utf-8")))
        return {"failed": f"its process ended with {code} and without an answer"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of the process's own session; while it runs, let it first end what has another."""
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
        os.killpg(process.pid, signal.SIGKILL)
