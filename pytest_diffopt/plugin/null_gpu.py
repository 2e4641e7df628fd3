"""`--diffopt-null-gpu`: pytest starts again on the null GPU, before torch is imported; tests run there with values.

pytest imports this module only if the null GPU is asked for or is active.
"""

import copy
from contextlib import ExitStack
from itertools import takewhile
from typing import Any

import pytest

from pytest_diffopt.null_gpu.activity import active_gpu_name, is_active
from pytest_diffopt.null_gpu.counters import library
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.gpus import DEFAULT_GPU, find_gpu_by_name
from pytest_diffopt.null_gpu.launching import restart
from pytest_diffopt.session.count_request import count_request
from pytest_diffopt.session.settings import Settings

OPTION = "--diffopt-null-gpu"
INI_NAME = "diffopt_null_gpu"
_NOTES = "diffopt_null_gpu_notes"


def start_on_null_gpu(config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Start pytest again on the null GPU that the options ask for; return at once where it runs there already.

    A process that another one started to count a call stays without a GPU.

    Args:
        config: pytest's configuration, before it captures output: a new process could not undo that.
        parser: pytest's parser.
        args: the arguments of pytest; the option gets a name, for argparse would take the next argument for it.

    Raises:
        pytest.UsageError: no GPU has that name, torch is imported already, or the library cannot be built.
    """
    if count_request() is not None:
        return
    named = [_name_of(arg) for arg in takewhile(lambda arg: arg != "--", args) if arg.partition("=")[0] == OPTION]
    try:
        if named:
            restart(named[-1])
        elif config.getini(INI_NAME) and not is_active():
            restart(config.getini(INI_NAME))
    except NullGpuError as error:
        msg = f"diffopt: {OPTION}: {error}"
        raise pytest.UsageError(msg) from error
    if OPTION in args:
        args[:] = [f"{OPTION}={DEFAULT_GPU}" if arg == OPTION else arg for arg in args]
        config.known_args_namespace = parser.parse_known_args(args, namespace=copy.copy(config.option))


def _name_of(arg: str) -> str:
    return arg.partition("=")[2] if "=" in arg else DEFAULT_GPU


def null_gpu_of_this_process(*, is_asked_for: bool) -> str:
    """Return the name of the null GPU that this process runs on; empty if it runs on none.

    Raises:
        pytest.UsageError: the null GPU is asked for, and this process does not run on it.
    """
    if is_asked_for and not is_active():
        msg = (
            f"diffopt: {OPTION} came too late: a conftest file loads the plugin; load it with "
            "-p pytest_diffopt.plugin.hooks, or start `python -m pytest_diffopt null-gpu -- pytest ...`"
        )
        raise pytest.UsageError(msg)
    try:
        library()
    except NullGpuError as error:  # the variables of the null GPU were inherited, and the library was not loaded
        msg = f"diffopt: {OPTION}: {error}"
        raise pytest.UsageError(msg) from error
    known = find_gpu_by_name(active_gpu_name())
    return known.key if known else ""


class SessionOnNullGpu:
    """A plugin object: the CPU computes the values of the null GPU from the session's start to its end."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._values = settings.null_gpu_values
        self._open = ExitStack()
        self._report: Any = None
        self._notes: set[str] = set()

    def pytest_sessionstart(self) -> None:
        """Start to compute values, before test files are imported."""
        if _runs_tests(self._config):
            # imports torch
            from pytest_diffopt.null_gpu.values.computing import Values, computing, is_computing  # noqa: PLC0415

            if not is_computing():  # `python -m pytest_diffopt null-gpu --values ... -- pytest` has started it
                self._report = self._open.enter_context(computing(Values(self._values)))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Stop, and have xdist's controller show what was not as on a GPU."""
        self._open.close()
        if self._report is not None:
            self._notes.update(self._report.notes())
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[_NOTES] = sorted(self._notes)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the notes of a worker."""
        self._notes.update(getattr(node, "workeroutput", {}).get(_NOTES, ()))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show what was not as on a GPU."""
        if self._notes:
            terminalreporter.section("diffopt: values on the null GPU")
        for note in sorted(self._notes):
            terminalreporter.write_line(note)


def _runs_tests(config: pytest.Config) -> bool:
    """Return whether this process runs tests; the controller of pytest-xdist runs none."""
    return hasattr(config, "workerinput") or not config.getoption("tx", default=None)
