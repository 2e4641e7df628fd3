"""Projects whose tests run on the null GPU, in a process of their own."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_diffopt.null_gpu.building import built_library, cache_folder
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.torch_build import find_torch_build

_REPOSITORY = Path(__file__).parents[3]
_SMALL_PIPELINE = _REPOSITORY / "tests" / "integration" / "small_pipeline.py"

Run = Callable[..., pytest.RunResult]


def reported(pytester: pytest.Pytester) -> dict[str, Any]:
    """Return what the report in `report` has of each test, by the name of the test."""
    report = json.loads((pytester.path / "report" / "report.json").read_text(encoding="utf-8"))
    return {entry["nodeid"].partition("::")[2]: entry for entry in report["verdicts"]}


@pytest.fixture(scope="session")
def library_cache() -> Path:
    """Build the library in the user's own cache; skip where there is no CUDA build of torch."""
    try:
        built_library(find_torch_build())
    except NullGpuError as error:
        pytest.skip(f"no null GPU: {error}")
    return cache_folder()


@pytest.fixture
def run_on_null_gpu(library_cache: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in a process of its own; `pytester` gives it another home folder."""
    monkeypatch.setenv("DIFFOPT_NULL_GPU_CACHE", str(library_cache))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(_REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else each process that compiles starts several others
    monkeypatch.delenv("DIFFOPT_NULL_GPU_DEVICE", raising=False)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:benchmark")
    shutil.copy(_SMALL_PIPELINE, pytester.path)

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.run(sys.executable, "-m", "pytest", *arguments)

    return run
