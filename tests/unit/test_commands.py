"""Every command of `python -m pytest_diffopt` is there, and none but the one that runs needs what it works with."""

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_diffopt


@pytest.mark.parametrize("command", ["comment", "merge", "profile", "report", "summary"])
def test_help_needs_the_standard_library_alone(command: str) -> None:
    """So a job that only comments installs nothing, whatever the commands beside it import."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "pytest_diffopt", command, "--help"],
        cwd=Path(pytest_diffopt.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m pytest_diffopt {command} ")
