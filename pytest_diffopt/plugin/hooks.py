"""pytest's hooks; each hands on in a few lines.

pytest imports this module at every start, also of a project that has no diffopt test: whatever is slow to import is
imported by the hook that needs it.
"""

import os
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from pytest_diffopt.plugin import options
from pytest_diffopt.session import config_stash


def pytest_addoption(parser: pytest.Parser) -> None:
    """Define the options."""
    options.add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, object, object]:
    """Define `--gpu` once every initial conftest has had its chance to."""
    result = yield
    options.add_gpu_option(parser)
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, and register markers and fixtures."""
    from pytest_diffopt.plugin import fixtures, markers, session_reports  # noqa: PLC0415

    config_stash.keep_settings(config, options.read_settings(config))
    config.addinivalue_line("markers", markers.DIFFOPT_HELP)
    config.addinivalue_line("markers", markers.GPU_HELP)
    config.pluginmanager.register(fixtures, "diffopt-fixtures")
    _share_gpus_out(config)
    if not hasattr(config, "workerinput"):  # an xdist worker reports to its controller, and the controller to people
        config.pluginmanager.register(session_reports.SessionReports(config), "diffopt-reports")
    if config_stash.settings_of(config).against or config_stash.settings_of(config).calibrate:
        from pytest_diffopt.paired.comparison_items import prepare_session  # noqa: PLC0415

        prepare_session(config, config_stash.settings_of(config))
    if config_stash.settings_of(config).prune:
        from pytest_diffopt.plugin.pruning import Pruning  # noqa: PLC0415

        config.pluginmanager.register(Pruning(config), "diffopt-pruning")


def _share_gpus_out(config: pytest.Config) -> None:
    """With several GPUs and workers, see to it that each worker has one."""
    if not config_stash.settings_of(config).use_gpu:
        return
    from pytest_diffopt.plugin import worker_gpus  # noqa: PLC0415

    worker_gpus.take_gpu(config)
    workers = config.getoption("tx", default=None) or ()
    gpus = worker_gpus.visible_gpus(os.environ)
    if gpus and workers and not hasattr(config, "workerinput"):
        config.pluginmanager.register(worker_gpus.GPUAssignment(gpus, len(workers)), "diffopt-GPUs")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Let `-n auto` start one worker for each GPU, where the run is on the GPU."""
    if not (config.getoption("--gpu", default=False) or config.getini("diffopt_gpu")):
        return None
    from pytest_diffopt.plugin.worker_gpus import visible_gpus  # noqa: PLC0415

    return len(visible_gpus(os.environ)) or None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give torch back what the session changed."""
    config_stash.watched_pipelines_of(config).close()


def pytest_report_header(config: pytest.Config) -> str:
    """Say on what the session runs."""
    from pytest_diffopt.reports.header import header_line  # noqa: PLC0415

    return header_line(config_stash.settings_of(config), config.rootpath)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Say where the weights of each named pipeline come from."""
    from pytest_diffopt.plugin.collection import weights_lines  # noqa: PLC0415

    return weights_lines(items, config_stash.settings_of(config))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test by the pipelines and recipes of its marker."""
    from pytest_diffopt.plugin import markers  # noqa: PLC0415

    markers.parametrize(metafunc, config_stash.settings_of(metafunc.config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where none was asked for, and refuse a run that cannot do what was asked."""
    from pytest_diffopt.plugin.collection import check_collected  # noqa: PLC0415

    settings = config_stash.settings_of(config)
    check_collected(items, settings, runs=not config.option.collectonly)
    if settings.against or settings.calibrate:
        from pytest_diffopt.paired.comparison_items import replace_latency_tests  # noqa: PLC0415

        replace_latency_tests(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let assertions know which test they run in."""
    from pytest_diffopt.plugin import running_test  # noqa: PLC0415

    with running_test.entered(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test that this GPU cannot run; turn our errors in fixtures into failures without a traceback."""
    from pytest_diffopt.plugin import running_test  # noqa: PLC0415

    with running_test.errors_explained():
        running_test.skip_unless_gpu_suffices(item, config_stash.settings_of(item.config))
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Turn our errors in a test into failures without a traceback."""
    from pytest_diffopt.plugin import running_test  # noqa: PLC0415

    with running_test.errors_explained(), running_test.noise_of_one_seed(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Watch a pipeline from before it is built, also one that the user's own fixture builds."""
    if fixturedef.argname != "optimized_pipeline":
        return (yield)
    pipelines = config_stash.watched_pipelines_of(request.config)
    start = pipelines.log.mark()
    from pytest_diffopt.probes.compile_failures import failures_explained  # noqa: PLC0415 - imports torch

    with failures_explained():
        pipeline = yield
    from pytest_diffopt.plugin.markers import recipe_text  # noqa: PLC0415

    pipelines.adopt(pipeline, start, recipe=recipe_text(request.node))
    return pipeline


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what became of a test, and its verdicts, into its report, which xdist carries to the controller."""
    from pytest_diffopt.plugin import running_test  # noqa: PLC0415

    report = yield
    running_test.attach_findings(report, item)
    return report
