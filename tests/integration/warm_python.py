"""An interpreter for subprocesses of tests that has imported torch, diffusers and the plugin before it starts.

Importing them takes seconds of CPU time in each process, and the tests of workers start about a hundred. A server
imports them once and forks for each start. A test that depends on the start itself uses the real interpreter.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVER = Path(__file__).with_name("warm_python_server.py")
#: Stands in for the interpreter: passes its command line, environment and open files to the server, signals too, and
#: ends as the forked process ends.
_LAUNCHER = """#!{python} -IS
import json, os, signal, socket, sys

files = [fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{{fd}}")]
files = [fd for fd in files if os.get_inheritable(fd)]
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda received, _frame: server.sendall(bytes([received])))
request = [sys.argv[1:], os.getcwd(), dict(os.environ), files]
text = json.dumps(request, ensure_ascii=True).encode() + b"\\n"
socket.send_fds(server, [text[:1]], files)
server.sendall(text[1:])
status = int(server.makefile().read() or -signal.SIGKILL)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def is_supported() -> bool:
    """Return whether this system can start processes this way."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


@contextmanager
def warm_python() -> Iterator[Path]:
    """Run the server during the block, and yield the path that replaces `sys.executable`."""
    folder = Path(tempfile.mkdtemp(prefix="warm-python-"))  # short: the address of a socket has at most 107 characters
    address, launcher = folder / "socket", folder / "python"
    launcher.write_text(_LAUNCHER.format(python=sys.executable, address=str(address)), encoding="utf-8")
    launcher.chmod(0o755)
    command = [sys.executable, str(_SERVER), str(address), str(launcher), *filter(None, sys.path)]
    server = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdin is not None
        assert server.stdout is not None
        if server.stdout.readline() != b"ready\n":
            message = f"the server of warm interpreters ended while starting, exit status {server.wait()}"
            raise RuntimeError(message)
        yield launcher
    finally:
        server.communicate()  # closes its standard input, at which it ends
        shutil.rmtree(folder)
