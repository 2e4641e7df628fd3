"""pytest's hooks during a session; each delegates in a few lines. Nothing here imports torch."""

import os
import sys
from collections.abc import Generator
from contextlib import nullcontext
from typing import Any

import pytest

from pytest_diffopt.plugin import running_test, worker_gpus
from pytest_diffopt.plugin.collection import check_collected
from pytest_diffopt.plugin.delayed_outcome import outcome_settled
from pytest_diffopt.plugin.failure_report import shorten_failure
from pytest_diffopt.plugin.findings import attach_findings, forget_attempt
from pytest_diffopt.plugin.frame_room import room_for_frames
from pytest_diffopt.plugin.markers import belongs_to_diffopt, has_diffopt_marker, recipe_text
from pytest_diffopt.plugin.session_header import SessionHeader
from pytest_diffopt.plugin.session_reports import SessionReports
from pytest_diffopt.probes.attention_default import ATTENTION_DEFAULT
from pytest_diffopt.session.our_fixtures import imports_package, is_package_in_use
from pytest_diffopt.session.pipeline_lifetimes import watched_pipelines_of
from pytest_diffopt.session.second_process import second_process_test
from pytest_diffopt.session.settings import settings_of

_HAS_DIFFOPT_TESTS = pytest.StashKey[bool]()


def register(config: pytest.Config) -> None:
    """Register these hooks, and the plugins that the settings ask for."""
    settings, plugins = settings_of(config), config.pluginmanager
    plugins.register(sys.modules[__name__], "diffopt-session")
    header = SessionHeader(config)
    plugins.register(header, "diffopt-header")
    if settings.null_gpu:
        from pytest_diffopt.plugin.null_gpu import SessionOnNullGpu  # noqa: PLC0415 - only on the null GPU

        plugins.register(SessionOnNullGpu(config, settings), "diffopt-null-gpu")
    else:
        _assign_gpus(config)
    if not hasattr(config, "workerinput"):  # an xdist worker reports to its controller, and the controller to the user
        plugins.register(SessionReports(config, header), "diffopt-reports")
    if settings.against or settings.calibrate:
        from pytest_diffopt.paired.comparison_items import prepare_session  # noqa: PLC0415 - only a paired session

        prepare_session(config, settings)
    if settings.prune:
        from pytest_diffopt.plugin.pruning import Pruning  # noqa: PLC0415 - only with --diffopt-prune

        plugins.register(Pruning(config), "diffopt-pruning")


def _assign_gpus(config: pytest.Config) -> None:
    """Assign one GPU to each xdist worker, if there are several."""
    if not settings_of(config).use_gpu:
        return
    worker_gpus.take_gpu(config)
    workers = config.getoption("tx", default=None) or ()
    gpus = worker_gpus.visible_gpus(os.environ)
    if gpus and workers and not hasattr(config, "workerinput"):
        config.pluginmanager.register(worker_gpus.GPUAssignment(gpus, len(workers)), "diffopt-gpus")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Restore what the session changed in torch."""
    watched_pipelines_of(config).close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test by the pipelines and recipes of its marker."""
    if has_diffopt_marker(metafunc.definition):
        from pytest_diffopt.plugin.parametrization import parametrize  # noqa: PLC0415 - imports torch

        parametrize(metafunc, settings_of(metafunc.config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU in a run without one, and refuse a run that cannot do what was asked."""
    settings = settings_of(config)
    repeated = second_process_test(os.environ)
    items[:] = [item for item in items if item.nodeid == repeated] or items
    check_collected(items, settings, runs=not config.option.collectonly)
    config.stash[_HAS_DIFFOPT_TESTS] = any(map(belongs_to_diffopt, items))
    if settings.against or settings.calibrate:
        from pytest_diffopt.paired.comparison_items import replace_latency_tests  # noqa: PLC0415 - only a paired session

        replace_latency_tests(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Make the test the active one, so that assertions find it; torch's compiler is its own in any other test."""
    pipelines = watched_pipelines_of(item.config)
    is_ours = belongs_to_diffopt(item) or imports_package(item)
    if is_ours:
        pipelines.watch_compiler()
    else:
        pipelines.leave_compiler()
    with running_test.entered(item), room_for_frames(item) if is_ours else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test that this GPU cannot run."""
    forget_attempt(item)
    running_test.skip_unless_gpu_suffices(item, settings_of(item.config))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Give the test its outcome, also from verdicts that did not end it; its attention backend is its own."""
    ATTENTION_DEFAULT.enter(item)
    try:
        with outcome_settled(), running_test.noise_of_one_seed(item):
            return (yield)
    finally:
        ATTENTION_DEFAULT.leave(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Give the teardown its outcome: a fixture may judge too."""
    with outcome_settled():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Watch a pipeline from before its build, and whose attention backend a fixture sets."""
    ATTENTION_DEFAULT.enter(fixturedef)
    value = yield from _watched_from_its_build(fixturedef, request)
    ATTENTION_DEFAULT.set_up(value)
    return value


def pytest_fixture_post_finalizer(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Discard the attention backend that a fixture set."""
    ATTENTION_DEFAULT.leave(fixturedef)


def _watched_from_its_build(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Watch the optimized pipeline from before its build, also one that the user's own fixture builds."""
    if fixturedef.argname != "optimized_pipeline" or not _runs_diffopt_tests(request.config):
        return (yield)
    from pytest_diffopt.probes.compile_failures import failures_explained  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.out_of_memory import memory_errors_explained  # noqa: PLC0415 - imports torch

    pipelines = watched_pipelines_of(request.config)
    pipelines.start_afresh()
    start = pipelines.log.mark()
    with failures_explained(), memory_errors_explained("the fixture optimized_pipeline", when="while it was built"):
        pipeline = yield
    pipelines.adopt(pipeline, start, recipe=recipe_text(request.node))
    return pipeline


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the result and the verdicts of a test to its report, which xdist sends to the controller."""
    report = yield
    shorten_failure(report, call, item)
    attach_findings(report, call, item)
    return report


def _runs_diffopt_tests(config: pytest.Config) -> bool:
    """Return whether a fixture named like ours is for a diffopt test, and no other project's."""
    return config.stash.get(_HAS_DIFFOPT_TESTS, default=False) or is_package_in_use()
