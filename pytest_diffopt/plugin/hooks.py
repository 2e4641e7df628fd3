"""pytest's start: the options, the settings, and the registration of what a session needs.

pytest imports this module at every start, also in a project without a diffopt test. It imports nothing that is slow:
the hooks of a session are in `session_hooks`, which is imported once the configuration is read.
"""

import os
from collections.abc import Generator

import pytest

from pytest_diffopt.plugin import options
from pytest_diffopt.session.settings import keep_settings


def pytest_addoption(parser: pytest.Parser) -> None:
    """Define the options."""
    options.add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest captures output, which a new process could not undo
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Start again on the null GPU if asked to; define `--gpu` after every initial conftest had its chance to."""
    if any("--diffopt-null-gpu" in arg for arg in args) or early_config.getini("diffopt_null_gpu"):
        from pytest_diffopt.plugin import null_gpu  # noqa: PLC0415 - only a session on the null GPU

        null_gpu.start_on_null_gpu(early_config, parser, args)
    result = yield
    options.add_gpu_option(parser)
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings and register the hooks of a session."""
    from pytest_diffopt.plugin import session_hooks  # noqa: PLC0415 - not before the command line is known to be valid

    keep_settings(config, options.read_settings(config))
    session_hooks.register(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Let `-n auto` start one worker for each GPU, if the run uses the GPU. xdist asks before the configuration."""
    if not options.uses_gpu(config) or options.null_gpu(config):  # each process has a null GPU of its own
        return None
    from pytest_diffopt.plugin.worker_gpus import visible_gpus  # noqa: PLC0415 - only a run with -n auto on a GPU

    return len(visible_gpus(os.environ)) or None
