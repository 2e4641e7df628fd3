"""The parent of the workers: which groups are run, and what remains of a pipeline that crashes its worker."""

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import metadata, util
from pathlib import Path

import msgspec

from benchmarks.diffusers_tests.cases import groups
from benchmarks.diffusers_tests.results import Done, Kind, Outcome, parsed
from pytest_diffopt.baselines.git import GitError, git_output
from pytest_diffopt.errors import did_you_mean

_ROOT = Path(__file__).parents[2]
_NEEDED = {"parameterized": "parameterized", "requests_mock": "requests-mock", "ftfy": "ftfy"}


def expected_groups(asked: Sequence[str], checkout: Path) -> Sequence[str]:
    """Return the groups to run: those that are asked for, or all.

    Raises:
        SystemExit: the checkout has no such group, or a package that the tests need is not installed.
    """
    known = groups(checkout)
    for name in asked:
        if name not in known:
            message = f"--only: diffusers has no folder of pipeline tests called {name!r}{did_you_mean(name, known)}"
            raise SystemExit(message)
    check_requirements(checkout)
    return asked or known


def version_of(checkout: Path) -> str:
    """Return the version of diffusers in a checkout; empty if it is unknown."""
    source = checkout / "src" / "diffusers" / "__init__.py"
    version = re.search(r'__version__ = "(.+)"', source.read_text()) if source.is_file() else None
    return version[1] if version else ""


def commit_of(checkout: Path) -> str:
    """Return the short name of the commit of a checkout; empty if it is no clone."""
    is_clone = (checkout / ".git").exists()  # else git looks for one in the folders above
    try:
        return git_output(checkout, "rev-parse", "--short=12", "HEAD") if is_clone else ""
    except GitError:
        return ""


def check_requirements(checkout: Path) -> None:
    """Check that the packages of the tests are installed, and print a line if the checkout is of another release.

    Raises:
        SystemExit: a package is missing.
    """
    missing = [package for module, package in _NEEDED.items() if util.find_spec(module) is None]
    if missing:
        message = f"diffusers' tests need packages that are not installed; run: pip install {' '.join(missing)}"
        raise SystemExit(message)
    version, installed = version_of(checkout), metadata.version("diffusers")
    if version and version != installed:
        print(f"the checkout is of diffusers {version}, but {installed} is installed: some tests may not match")


def run_worker(
    command: Sequence[str],
    kind: type[Kind],
    append: Callable[[bytes], object],
    *,
    source: Path | None = None,
    until: float = math.inf,
) -> None:
    """Run a worker until it ends; if it dies, the pipeline that it was running is a crashed result.

    Args:
        command: arguments of Python.
        kind: the type of the worker's results.
        append: keeps a line of JSON.
        source: the folder from which diffusers is imported; None for the installed one.
        until: the time on the monotonic clock at which the worker is stopped, in seconds; what it was running then is
            no result.

    Raises:
        SystemExit: the worker failed outside of a pipeline.
    """
    running: Kind | None = None
    with subprocess.Popen(
        [sys.executable, *command], cwd=_ROOT, env=_environment(source), stdout=subprocess.PIPE
    ) as worker:
        stop = threading.Timer(max(until - time.monotonic(), 0), worker.kill) if until < math.inf else None
        if stop:
            stop.start()
        assert worker.stdout is not None  # noqa: S101 - PIPE is passed
        for line in worker.stdout:
            running = _started(line, kind)
            if running is None:
                append(line)
                print(".", end="", file=sys.stderr, flush=True)
        code = worker.wait()
    if stop:
        stop.cancel()
    if code == -signal.SIGKILL and time.monotonic() >= until:
        return
    if code and running is None:
        message = f"the worker exited with code {code} outside of a pipeline; its output is above"
        raise SystemExit(message)
    if code and running is not None:
        crashed = msgspec.structs.replace(running, reason=f"the process exited with code {code}")
        append(msgspec.json.encode(crashed) + b"\n")


def _environment(source: Path | None) -> dict[str, str]:
    path = {} if source is None else {"PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])}
    return os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | path


def _started(line: bytes, kind: type[Kind]) -> Kind | None:
    """Return the result of a pipeline that a worker starts; None for every other line."""
    one = parsed(line, kind)
    return None if isinstance(one, Done) or one.outcome is not Outcome.CRASHED else one
