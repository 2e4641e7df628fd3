"""Libraries that the null GPU meets: a real driver, and callers of functions that it does not know."""

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu.building import built_library, find_compiler
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.torch_build import TorchBuild, find_torch_build
from tests.unit.null_gpu.conftest import Runner


def compiled(library: Path, source: str) -> Path:
    """Compile a shared library."""
    compiler = find_compiler()
    assert compiler is not None, "unreachable: the null GPU's library was built"
    command = [*shlex.split(compiler), "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)
    return library


@pytest.fixture
def build() -> TorchBuild:
    """Return the installed CUDA build of torch; skip the test where there is none."""
    try:
        return find_torch_build()
    except NullGpuError as error:
        pytest.skip(f"no null GPU: {error}")


DRIVER = """
int cuInit(unsigned flags) { (void)flags; return 0; }
int real_driver(void) { return 1; }
"""
LOADED = """
import ctypes
import torch
driver = ctypes.CDLL("libcuda.so.1")
print(hasattr(driver, "real_driver"), hasattr(driver, "null_gpu_begin_answers"), torch.cuda.is_available())
"""


@pytest.mark.usefixtures("build")
def test_real_driver_is_hidden_only_where_the_null_gpu_was_asked_for(
    on_null_gpu: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is installed is found as before by any other process."""
    driver = compiled(tmp_path / "libcuda.so.1", DRIVER)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver.parent))
    asked_for = on_null_gpu("-c", LOADED)
    monkeypatch.delenv("LD_LIBRARY_PATH")
    not_asked_for = on_null_gpu(
        "-c",
        LOADED,
        variables={"LD_PRELOAD": "", "LD_LIBRARY_PATH": str(driver.parent), "DIFFOPT_NULL_GPU_DEVICE": ""},
    )

    assert asked_for.stdout == "False True True\n", asked_for.stderr
    assert not_asked_for.stdout == "True False False\n", not_asked_for.stderr


NEWER = """
int cudaNewCall(void), cublasNewCall(void), cudnnNewCall(void);
int call_them_all(void) { return cudaNewCall() == 801 && cublasNewCall() == 15 && cudnnNewCall() == 3000; }
"""
CALLED = """
import ctypes, sys
from pytest_diffopt.null_gpu.counters import TallyKind, read_counts
print(ctypes.CDLL(sys.argv[1]).call_them_all(), sorted(read_counts().of(TallyKind.UNMODELLED)))
"""


def test_unknown_entry_points_of_a_newer_library_are_refused_and_named(
    on_null_gpu: Runner, build: TorchBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that imports functions newer than the headers loads; a call is "not supported", and is recorded."""
    caller = compiled(tmp_path / "libnewer.so", NEWER)
    monkeypatch.setenv("DIFFOPT_NULL_GPU_CACHE", str(tmp_path / "cache"))
    library = built_library(replace(build, callers=(*build.callers, caller)))
    done = on_null_gpu("-c", CALLED, str(caller), variables={"LD_PRELOAD": str(library)})

    assert done.stdout == "1 ['cublasNewCall', 'cudaNewCall', 'cudnnNewCall']\n", done.stderr
