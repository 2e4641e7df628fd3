"""The server of `warm_python`: it runs one test of the plugin, which imports everything, and forks for each request."""

import atexit
import contextlib
import fcntl
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

#: A test that loads all that the plugin loads before a test.
_FIRST_TEST = """
import pytest

@pytest.mark.diffopt
def test_it(latency_baseline):
    import hypothesis, skimage.metrics, scipy.special, torch, xdist.remote
"""
_MOST_FILES = 64
#: Files of this process have smaller numbers.
_HIGH = 500


class Request(NamedTuple):
    """The command line, working folder, environment and open files of a process to start."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    files: list[int]


def main(address: str, launcher: str, *paths: str) -> None:
    """Import everything, then serve; return in each forked process after its command has run."""
    own_paths = list(sys.path[1:])
    sys.path[1:1] = paths
    with _silent():
        Path("test_first.py").write_text(_FIRST_TEST, encoding="utf-8")
        options = ("-p", "no:cacheprovider", "-p", "no:rerunfailures", "-n0", "-q")  # reruns start a thread
        code = pytest.main([*options, f"--rootdir={Path.cwd()}", "test_first.py"])
    if code:
        sys.exit(f"the first test ended with {code!r}")
    if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        sys.exit(f"a process with {threads} threads cannot be forked safely")
    gc.collect()
    gc.freeze()
    atexit.register(gc.freeze)  # if a process undid it: examining every object of torch at its exit takes seconds
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children need not be waited for
    os.write(1, b"ready\n")
    request = _serve(listening)
    if request is not None:
        _run(request, launcher, own_paths)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Write standard output to standard error: a line on it means that the server is ready."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _serve(listening: socket.socket) -> Request | None:
    """Fork for each connection until standard input is closed; return the request in a process that runs it."""
    while True:
        readable, _, _ = select.select([listening.fileno(), 0], [], [])
        if 0 in readable:
            return None
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _forked(connection)
        connection.close()


def _forked(connection: socket.socket) -> Request:
    """Start the process of one request and end as its monitor; return in that process."""
    text, received, _, _ = socket.recv_fds(connection, 1, _MOST_FILES)
    with connection.makefile("rb") as rest:
        request = Request(*json.loads(text + rest.readline()))
    pid = os.fork()
    if pid == 0:
        os.setsid()
        connection.detach()
        _use_files(received, request.files)
        return request
    for file in received:
        os.close(file)
    _monitor(pid, connection)
    os._exit(0)


def _monitor(pid: int, connection: socket.socket) -> None:
    """Pass signals to the process; kill it if its launcher is gone; answer with its exit status."""
    ended = os.pidfd_open(pid)
    while True:
        readable, _, _ = select.select([ended, connection.fileno()], [], [])
        if ended in readable:
            break
        numbers = connection.recv(1) or bytes([signal.SIGKILL])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, numbers[0])
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # the launcher was killed
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _use_files(received: list[int], numbers: list[int]) -> None:
    """Give the received files the numbers that they have in the launcher, and close all others."""
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, _HIGH) for file in received]
    os.closerange(3, _HIGH)
    for file, number in zip(moved, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)


def _run(request: Request, launcher: str, own_paths: list[str]) -> None:
    """Run a command line as the interpreter does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    added = [path for path in request.environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = ["", *added, *own_paths]
    sys.executable = launcher
    first, *others = [argument for argument in request.arguments if argument != "-u"]
    flag, value = first[:2], first[2:]
    if flag not in {"-c", "-m"}:
        sys.argv[:] = [first, *others]
        runpy.run_path(first, run_name="__main__")
        return
    if not value:
        value, *others = others
    sys.argv[:] = [flag, *others]
    if flag == "-c":
        exec(value, {"__name__": "__main__"})  # noqa: S102 - a command line
    else:
        sys.path[0] = request.folder
        runpy.run_module(value, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
