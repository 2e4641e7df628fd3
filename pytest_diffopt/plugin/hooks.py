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


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, object, object]:
    """Define `--gpu` after every initial conftest had its chance to."""
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
    from pytest_diffopt.plugin.worker_gpus import visible_gpus  # noqa: PLC0415 - only a run with -n auto on a GPU

    return len(visible_gpus(os.environ)) or None
