"""The environment of a process on the null GPU, and running one."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu import launching
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.launching import environment, restart, run
from pytest_diffopt.null_gpu.torch_build import TorchBuild

LIBRARY = Path("/cache/key/libnull_gpu.so")
NO_VARIABLES: dict[str, str] = {}


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a library without building one."""
    build = TorchBuild(version="2.14.1+cu130", cuda_version="13.0", headers=(), callers=())
    monkeypatch.setattr(launching, "find_torch_build", lambda: build)
    monkeypatch.setattr(launching, "built_library", lambda _: LIBRARY)
    monkeypatch.delenv("DIFFOPT_NULL_GPU_DEVICE", raising=False)


def test_environment_of_a_process() -> None:
    """The library is preloaded, and found as the driver's and NVML's."""
    variables = environment("l4", base=NO_VARIABLES)

    assert variables.pop("DIFFOPT_NULL_GPU_DEVICE").endswith(",NVIDIA L4")
    assert variables == {
        "LD_PRELOAD": "/cache/key/libnull_gpu.so",
        "LD_LIBRARY_PATH": "/cache/key",
        "TRITON_LIBCUDA_PATH": "/cache/key",
    }


@pytest.mark.parametrize("separator", [":", " "])
def test_other_preloaded_libraries_stay_in_order(separator: str) -> None:
    """They come before the null GPU's, as they were."""
    variables = environment(base={"LD_PRELOAD": f"/a.so{separator}/b.so", "LD_LIBRARY_PATH": "/x:/y"})

    assert variables["LD_PRELOAD"] == "/a.so:/b.so:/cache/key/libnull_gpu.so"
    assert variables["LD_LIBRARY_PATH"] == "/cache/key:/x:/y"


def test_environment_is_the_same_when_applied_again() -> None:
    """A process on the null GPU may start another one."""
    once = environment(base=NO_VARIABLES)

    assert environment(base=once) == once


def plain_environment(*_: object, **__: object) -> dict[str, str]:
    """Stand in for `environment`: a command of these tests does not need the library."""
    return dict(os.environ)


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands without preloading anything."""
    monkeypatch.setattr(launching, "environment", plain_environment)


@pytest.mark.usefixtures("without_library")
def test_exit_code_is_the_commands() -> None:
    """Whatever it is."""
    assert run([sys.executable, "-c", "raise SystemExit(7)"]) == 7


@pytest.mark.usefixtures("without_library")
def test_signal_reaches_the_command(tmp_path: Path) -> None:
    """A signal to this process is passed on, and the command's end by it is reported."""
    started = tmp_path / "started"

    def terminate() -> None:
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=terminate).start()
    code = run([sys.executable, "-c", f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(600)"])

    assert code == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("without_library")
def test_command_that_cannot_start() -> None:
    """The message names it."""
    with pytest.raises(NullGpuError, match="cannot start '/no/such/command': No such file or directory"):
        run(["/no/such/command"])


def test_restart_after_torch_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is preloaded cannot be loaded later."""
    monkeypatch.setitem(sys.modules, "torch", sys)

    with pytest.raises(NullGpuError, match="must be loaded before torch, which is imported already"):
        restart()


def test_restart_of_a_process_that_runs_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens."""
    monkeypatch.setenv("DIFFOPT_NULL_GPU_DEVICE", environment(base=NO_VARIABLES)["DIFFOPT_NULL_GPU_DEVICE"])
    restart()

    assert is_active()


def test_restart_keeps_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same interpreter runs with the same arguments."""
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "pytest", "-p", "x"])
    monkeypatch.setattr(os, "execve", lambda *call: started.append(call))
    restart("t4")

    program, arguments, variables = started[0]
    assert (program, arguments) == (sys.executable, [sys.executable, "-m", "pytest", "-p", "x"])
    assert variables["DIFFOPT_NULL_GPU_DEVICE"].endswith("Tesla T4")
