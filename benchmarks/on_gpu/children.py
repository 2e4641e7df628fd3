"""Start the process of a case, and end it and its children when its time is over."""

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
# The paired gate starts processes in other sessions; the case gets some seconds to end them.
_SECONDS_TO_END = 20.0


def run_child(
    command: str, options: Sequence[str], log: Path, case: str, seconds: float | None = None
) -> dict[str, Any] | None:
    """Run `one_case` and return its answer, or None if it was cut off.

    A process that exits without an answer gives the result `failed` with its exit code.

    Args:
        command: name of the command.
        options: options of `one_case`.
        log: file to which its output is appended.
        case: name of the case.
        seconds: time limit; None for none.
    """
    with tempfile.TemporaryDirectory(prefix="on-gpu-") as folder:
        answer = Path(folder) / "answer.json"
        line = [sys.executable, "-m", "benchmarks.on_gpu.one_case", command, case, str(answer), *options]
        # A separate session, so that Inductor's compile workers and pytest's workers end with it.
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
        return {"failed": f"its process exited with code {code} and without an answer"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process's session; a running process first gets SIGTERM, so that it can end other sessions."""
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
        os.killpg(process.pid, signal.SIGKILL)
