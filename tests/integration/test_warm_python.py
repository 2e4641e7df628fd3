"""A process of the warm interpreter behaves as one of the real interpreter, and ends with it."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.warm_python import is_supported

pytestmark = [
    pytest.mark.usefixtures("warm_processes"),
    pytest.mark.skipif(not is_supported(), reason="needs Linux"),
]
SHOWS_ITSELF = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["SHOWN"], sys.stdin.read(), "torch" in sys.modules)
print("an error", file=sys.stderr)
sys.exit(7)
"""
SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def test_a_process_has_its_command_line_folder_variables_and_files(tmp_path: Path) -> None:
    """And its exit code is returned."""
    done = subprocess.run(
        [sys.executable, "-c", SHOWS_ITSELF, "first"],
        cwd=tmp_path,
        env=os.environ | {"SHOWN": "a variable"},
        input="typed",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == f"['-c', 'first'] {tmp_path} a variable typed True\n"
    assert (done.stderr, done.returncode) == ("an error\n", 7)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_process(ending: signal.Signals) -> None:
    """SIGTERM is passed on, and a process whose launcher was killed is killed."""
    with subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        process = os.pidfd_open(int(launcher.stdout.readline()))
        launcher.send_signal(ending)
        launcher.stdout.read()  # until the process has closed its standard output

        assert launcher.wait() == -ending
    ended = select.poll()  # unlike select(), it takes descriptors above 1023
    ended.register(process, select.POLLIN)
    ended.poll()
    os.close(process)


def test_an_open_file_keeps_its_number() -> None:
    """As with `pass_fds` of any subprocess."""
    reading, writing = os.pipe()
    code = f"import os; os.write({writing}, b'answer')"
    subprocess.run([sys.executable, "-c", code], pass_fds=[writing], check=True)
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.read() == "answer"


def test_a_module_is_run_from_its_folder(tmp_path: Path) -> None:
    """`python -m` finds modules of the working folder."""
    (tmp_path / "program.py").write_text("import sys; print(__name__, sys.argv[1:])", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "program", "x"], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout == "__main__ ['x']\n"
