"""Every command of `python -m pytest_diffopt` exists, and imports only its own dependencies."""

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_diffopt


@pytest.mark.parametrize("command", ["comment", "doctor", "merge", "null-gpu", "profile", "report", "summary"])
def test_help_needs_only_the_standard_library(command: str) -> None:
    """A job that only comments on a pull request installs nothing else."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "pytest_diffopt", command, "--help"],
        cwd=Path(pytest_diffopt.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m pytest_diffopt {command} ")
