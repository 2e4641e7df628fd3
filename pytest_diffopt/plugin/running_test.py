"""One running diffopt test: its identity for assertions, its GPU needs, its errors, its result."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import pytest

from pytest_diffopt.environment import accelerator_kind
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.plugin.markers import GpuNeeds, belongs_to_diffopt, gpu_needs, recipe_text
from pytest_diffopt.plugin.worker_gpus import require_own_gpu
from pytest_diffopt.session.active_test import ActiveTest, active_test, running
from pytest_diffopt.session.artifacts import Artifacts
from pytest_diffopt.session.ledger import CARRIED, CARRIED_CASE, CaseResult, LedgerEntry
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
        rerun=_rerun(item),
        artifacts=_artifacts(item),
        progress=progress,
    )


def _rerun(item: pytest.Item) -> tuple[str, ...]:
    """Return pytest's arguments that run this test alone, on the same device and scale."""
    settings, config = settings_of(item.config), item.config
    weights = () if settings.weights_folder is None else (f"--diffopt-weights={settings.weights_folder}",)
    inifile = () if config.inipath is None else (f"--config-file={config.inipath}",)
    test = f"{item.path}::{item.nodeid.partition('::')[2]}"
    return (
        f"--rootdir={config.rootpath}",
        *inifile,
        *settings.device_options,
        f"--diffopt-scale={settings.scale}",
        *weights,
        test,
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


@contextmanager
def errors_explained() -> Iterator[None]:
    """Show errors of this package as their message alone: their traceback leads only into this package."""
    try:
        yield
    except DiffoptError as error:
        # not pytest.fail(): pytest would print the same message a second time as the cause
        message = f"diffopt: {error}"
        raise pytest.fail.Exception(message, pytrace=False) from None


def attach_findings(report: pytest.TestReport, item: pytest.Item) -> None:
    """Move the active test's verdicts into its report, which xdist sends to the controller."""
    entries = active_test().take_entries()
    if entries:
        from pytest_diffopt.session.ledger_entries import to_plain  # noqa: PLC0415 - imports msgspec

        vars(report)[CARRIED] = to_plain(entries)
        _add_properties(report, item, entries)
    if (entries or belongs_to_diffopt(item)) and _decides(report):
        vars(report)[CARRIED_CASE] = asdict(_result_of(item, report))


def _add_properties(report: pytest.TestReport, item: pytest.Item, entries: Sequence[LedgerEntry]) -> None:
    """Add the figures to the properties that pytest writes into JUnit XML."""
    from pytest_diffopt.reports.properties import properties_of  # noqa: PLC0415 - only with verdicts

    found = properties_of(entries, item.user_properties)
    report.user_properties.extend(found)
    item.user_properties.extend(found)  # the reports of the later phases are made from these


def _decides(report: pytest.TestReport) -> bool:
    """Return whether this phase decides the result of the test: its call, or a setup that did not pass."""
    return report.when == "call" or (report.when == "setup" and not report.passed)


def _result_of(item: pytest.Item, report: pytest.TestReport) -> CaseResult:
    file, line, _name = item.location
    return CaseResult(
        nodeid=item.nodeid, file=file, line=0 if line is None else line + 1, skip_reason=_skip_reason(report)
    )


def _skip_reason(report: pytest.TestReport) -> str:
    """Return the first line of the reason for a skip or an expected failure; empty if it is neither."""
    if not report.skipped:
        return ""
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail or 'no reason given'}"
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    lines = reason.removeprefix("Skipped: ").splitlines()
    return lines[0].removeprefix("diffopt: ") if lines else "no reason given"


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
    import torch  # noqa: PLC0415 - only with --gpu

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
