"""The environment under which a command runs on the null GPU, and running one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from pytest_diffopt.null_gpu.activity import DEVICE_VARIABLE, active_gpu_name
from pytest_diffopt.null_gpu.building import built_library
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.gpus import DEFAULT_GPU, describe_for_library, find_gpu
from pytest_diffopt.null_gpu.torch_build import find_torch_build

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def environment(gpu: str = DEFAULT_GPU, *, count: int = 1, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables of a process on the null GPU; the library is built if needed.

    Args:
        gpu: the GPU that it reports itself as.
        count: how many of them there are.
        base: the variables to start from; those of this process by default.

    Raises:
        NullGpuError: the GPU is unknown, or the library cannot be built.
    """
    description = describe_for_library(find_gpu(gpu), count=count)
    library = built_library(find_torch_build())
    variables = dict(os.environ if base is None else base)
    folder = str(library.parent)
    variables[DEVICE_VARIABLE] = description
    # another preloaded library (jemalloc, a sanitizer) stays, and stays first
    variables["LD_PRELOAD"] = _with_path(variables.get("LD_PRELOAD", "").replace(" ", ":"), str(library))
    variables["LD_LIBRARY_PATH"] = _with_path(folder, variables.get("LD_LIBRARY_PATH", ""))
    variables["TRITON_LIBCUDA_PATH"] = folder
    return variables


def _with_path(first: str, second: str) -> str:
    parts = [part for part in (*first.split(":"), *second.split(":")) if part]
    return ":".join(dict.fromkeys(parts))


def restart(gpu: str = DEFAULT_GPU, *, count: int = 1) -> None:
    """Replace this process by the same command on the null GPU; return at once if it runs on that GPU already.

    Raises:
        NullGpuError: torch is imported already, the GPU is unknown, or the library cannot be built.
    """
    if active_gpu_name() == find_gpu(gpu).name:
        return
    if "torch" in sys.modules:
        msg = (
            "the null GPU must be loaded before torch, which is imported already: start the process with "
            "`python -m pytest_diffopt.null_gpu -- COMMAND`"
        )
        raise NullGpuError(msg)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment(gpu, count=count))  # noqa: S606


def run(
    command: Sequence[str],
    *,
    gpu: str = DEFAULT_GPU,
    count: int = 1,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Run a command on the null GPU and return its exit code, negative if a signal ended it.

    Signals that this process receives meanwhile are passed to the command.

    Raises:
        NullGpuError: the command cannot be started, the GPU is unknown, or the library cannot be built.
    """
    environment_variables = environment(gpu, count=count) | dict(variables or {})
    try:
        process = subprocess.Popen(command, env=environment_variables)  # noqa: S603 - the user's command
    except OSError as error:
        msg = f"cannot start {command[0]!r}: {error.strerror}"
        raise NullGpuError(msg) from error
    handlers = {number: signal.signal(number, _forward_to(process)) for number in _FORWARDED}
    try:
        return process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _forward_to(process: subprocess.Popen[bytes]) -> Callable[[int, FrameType | None], None]:
    def forward(number: int, _: FrameType | None) -> None:
        # a terminal sends SIGINT to the whole group: the command has it already
        if not (number == signal.SIGINT and os.getpgid(process.pid) == os.getpgrp() and sys.stdin.isatty()):
            process.send_signal(number)

    return forward
