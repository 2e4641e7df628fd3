"""One running test: its identity for assertions, its GPU needs, its noise."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from pytest_diffopt.environment import accelerator_kind
from pytest_diffopt.plugin.markers import GpuNeeds, belongs_to_diffopt, gpu_needs, recipe_text
from pytest_diffopt.plugin.second_process import second_process_of
from pytest_diffopt.plugin.worker_gpus import require_own_gpu
from pytest_diffopt.session.active_test import ActiveTest, running
from pytest_diffopt.session.artifacts import Artifacts
from pytest_diffopt.session.pipeline_lifetimes import watched_pipelines_of
from pytest_diffopt.session.progress import ProgressCallback, ProgressLine, erased_at_end
from pytest_diffopt.session.settings import Settings, settings_of


@contextmanager
def entered(item: pytest.Item) -> Iterator[None]:
    """Make this the active test."""
    with erased_at_end(_progress_line(item.config)) as progress, running(_active(item, progress)):
        yield


def _active(item: pytest.Item, progress: ProgressCallback) -> ActiveTest:
    return ActiveTest(
        nodeid=item.nodeid,
        settings=settings_of(item.config),
        pipelines=watched_pipelines_of(item.config),
        recipe_text=recipe_text(item),
        fixtures=lambda: getattr(item, "funcargs", {}),
        second_process=partial(second_process_of, item),
        artifacts=_artifacts(item),
        progress=progress,
    )


def _artifacts(item: pytest.Item) -> Artifacts:
    report_folder, cache = settings_of(item.config).report_folder, getattr(item.config, "cache", None)
    if cache is None:  # switched off (-p no:cacheprovider): images go to a temporary folder
        return Artifacts(nodeid=item.nodeid, report_folder=report_folder)
    return Artifacts(nodeid=item.nodeid, report_folder=report_folder, other_folder=lambda: cache.mkdir("diffopt"))


def _progress_line(config: pytest.Config) -> ProgressLine | None:
    """Return a progress line; None without a TTY, when its use is disabled, or in a worker."""
    terminal: pytest.TerminalReporter | None = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if terminal is None or capture is None or not terminal.isatty or config.get_verbosity() < 0:
        return None
    if config.getoption("capture") == "no" or config.getini("log_cli") or config.getoption("log_cli_level"):
        return None  # other output goes to the terminal while tests run
    writer = config.get_terminal_writer()
    return ProgressLine(
        sys.stdout,
        width=writer.fullwidth,
        column=lambda: writer.width_of_current_line,
        uncaptured=capture.global_and_fixture_disabled,
    )


@contextmanager
def noise_of_one_seed(item: pytest.Item) -> Iterator[None]:
    """Make noise equal in every precision during a diffopt test, once torch is imported."""
    if "torch" not in sys.modules or not belongs_to_diffopt(item):
        yield
        return
    from pytest_diffopt._torch_private.half_noise import half_noise_like_float32  # noqa: PLC0415 - imports torch

    with half_noise_like_float32():
        yield


def skip_unless_gpu_suffices(item: pytest.Item, settings: Settings) -> None:
    """Skip a test whose `gpu` marker asks for more than this machine's GPU has.

    Raises:
        GpuSharingError: several workers use one GPU.
    """
    if not settings.use_gpu or not belongs_to_diffopt(item):
        return
    if not settings.null_gpu:  # each process has a null GPU of its own
        require_own_gpu(item.config)
    needs = gpu_needs(item)
    reason = _missing_of_gpu(needs) if needs else ""
    if reason:
        pytest.skip(reason)


def _missing_of_gpu(needs: GpuNeeds) -> str:
    """Return what the GPU lacks, or an empty string. Not verified on a GPU yet."""
    import torch  # noqa: PLC0415 - only with --diffopt-gpu

    count = torch.get_device_module(accelerator_kind()).device_count()
    if count < needs.count:
        return f"needs {needs.count} GPUs, got: {count}"
    if not torch.cuda.is_available():
        wants_more = needs.memory_gib > 0 or needs.capability > (0, 0)
        return "needs a CUDA GPU: only CUDA reports memory and compute capability" if wants_more else ""
    memory_gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    if memory_gib < needs.memory_gib:
        return f"needs a GPU with {needs.memory_gib:g} GiB, got: {memory_gib:.1f} GiB"
    capability = torch.cuda.get_device_capability(0)
    if capability < needs.capability:
        return f"needs compute capability {needs.capability}, got: {capability}"
    return ""
