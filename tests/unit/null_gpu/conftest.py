"""What the tests of the null GPU share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.launching import environment

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

_REPOSITORY = Path(__file__).parents[3]
_TIMEOUT_S = 600


@pytest.fixture
def on_null_gpu() -> Runner:
    """Run Python with some arguments on the null GPU; skip the test where there is no CUDA build of torch."""

    def run(
        *arguments: str, gpu: str = "h200", count: int = 1, variables: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        try:
            started = environment(gpu, count=count) | (variables or {})
        except NullGpuError as error:
            pytest.skip(f"no null GPU: {error}")
        started["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else each process that compiles starts several others
        started["PYTHONPATH"] = os.pathsep.join([str(_REPOSITORY), started.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, *arguments],
            env=started,
            cwd=_REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )

    return run
