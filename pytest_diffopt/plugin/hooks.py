"""pytest's start: the options, the markers and the fixtures.

pytest imports this module at every start, also in a project without a diffopt test. It imports nothing that is slow:
what a session needs is in `session_hooks`, which is imported when the user asks for something or with the first
diffopt test (`dormant`).
"""

import os
from collections.abc import Generator

import pytest

from pytest_diffopt.plugin import fixtures, options
from pytest_diffopt.plugin.dormant import DormantSession, open_session
from pytest_diffopt.plugin.markers import DIFFOPT_HELP, GPU_HELP


def pytest_addoption(parser: pytest.Parser) -> None:
    """Define the options."""
    options.add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest captures output, which a new process could not undo
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Start again on the null GPU if asked to; define `--gpu` after every initial conftest had its chance to."""
    is_asked_for = any("--diffopt-null-gpu" in arg for arg in args) or early_config.getini("diffopt_null_gpu")
    if is_asked_for and "DIFFOPT_COUNT_REQUEST" not in os.environ:
        from pytest_diffopt.plugin import null_gpu  # noqa: PLC0415 - only a session on the null GPU

        null_gpu.start_on_null_gpu(early_config, parser, args)
    result = yield
    options.add_gpu_option(parser)
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Define the markers and fixtures, and open the session if the user asks for something."""
    config.addinivalue_line("markers", DIFFOPT_HELP)
    config.addinivalue_line("markers", GPU_HELP)
    config.pluginmanager.register(fixtures, "diffopt-fixtures")
    if options.asks_for_diffopt(config):
        open_session(config)
    else:
        config.pluginmanager.register(DormantSession(config), "diffopt-dormant")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Let `-n auto` start one worker for each GPU, if the run uses the GPU. xdist asks before the configuration."""
    if not (config.getoption("--gpu", default=False) or config.getini("diffopt_gpu")):
        return None
    if os.environ.get("DIFFOPT_NULL_GPU_DEVICE"):  # each process has a null GPU of its own
        return None
    from pytest_diffopt.plugin.worker_gpus import visible_gpus  # noqa: PLC0415 - only a run with -n auto on a GPU

    return len(visible_gpus(os.environ)) or None
