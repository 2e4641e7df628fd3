"""pytest's start: the options, the markers and the fixtures.

pytest imports this module at every start, also in a project without a diffopt test. It imports nothing that is slow:
what a session needs is in `session_hooks`, which is imported when the user asks for something or with the first
diffopt test (`dormant`).
"""

import os
from collections.abc import Generator
from typing import Any

import pytest

from pytest_diffopt.plugin import fixtures, options
from pytest_diffopt.plugin.dormant import DormantSession, open_session
from pytest_diffopt.plugin.gpu_option import lengthen_gpu_option
from pytest_diffopt.plugin.markers import MARKER_LINES


def pytest_addoption(parser: pytest.Parser) -> None:
    """Define the options."""
    options.add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest captures output, which a new process could not undo
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Start again on the null GPU if asked to; read `--gpu` as ours, unless a plugin or a conftest has defined it."""
    is_asked_for = any("--diffopt-null-gpu" in arg for arg in args) or early_config.getini("diffopt_null_gpu")
    if is_asked_for:
        from pytest_diffopt.plugin import null_gpu  # noqa: PLC0415 - only a session on the null GPU

        null_gpu.start_on_null_gpu(early_config, parser, args)
    result = yield
    lengthen_gpu_option(parser, args)
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Define the markers and fixtures, and open the session if the user asks for something."""
    for line in MARKER_LINES:
        config.addinivalue_line("markers", line)
    config.pluginmanager.register(fixtures, "diffopt-fixtures")
    if options.asks_for_diffopt(config):
        open_session(config)
    else:
        config.pluginmanager.register(DormantSession(config), "diffopt-dormant")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Let `-n auto` start one worker for each GPU, if the run uses the GPU. xdist asks before the configuration."""
    if not (config.getoption("--diffopt-gpu") or config.getini("diffopt_gpu")):
        return None
    if os.environ.get("DIFFOPT_NULL_GPU_DEVICE"):  # each process has a null GPU of its own
        return None
    from pytest_diffopt.plugin.worker_gpus import visible_gpus  # noqa: PLC0415 - only a run with -n auto on a GPU

    return len(visible_gpus(os.environ)) or None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the command line to an xdist worker, whose tests may run themselves in a second process."""
    from pytest_diffopt.plugin.second_process import pass_command_line  # noqa: PLC0415 - only the controller of xdist

    pass_command_line(node.config, node.workerinput)
