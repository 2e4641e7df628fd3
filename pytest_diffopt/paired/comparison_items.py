"""The pytest items of a paired session: each replaces a test, which two workers run instead."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.paired.checkout import both_sides, find_revision, same_code_twice
from pytest_diffopt.paired.process import WorkerStart
from pytest_diffopt.paired.session import OpenSides, PairedSession
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.our_fixtures import our_fixtures
from pytest_diffopt.session.settings import Settings

_TIMING_FIXTURE = "latency_baseline"


class PairedItem(pytest.Item):
    """Replaces one test: the workers run it, this process only judges."""

    def __init__(self, *, replaced: pytest.Item, **node: Any) -> None:
        """Copy the markers of the replaced test."""
        super().__init__(**node)
        self._replaced = replaced
        self.own_markers = list(replaced.own_markers)

    @classmethod
    def replacing(cls, item: pytest.Item) -> "PairedItem":
        """Return an item that replaces another one under its name."""
        assert item.parent is not None, "unreachable: every test has a file"  # noqa: S101
        return cls.from_parent(item.parent, name=item.name, replaced=item)

    def runtest(self) -> None:
        """Time the test's call in both workers, and pass or fail."""
        __tracebackhide__ = True
        test, session = active_test(), self.config.stash[_SESSION]
        if test.settings.calibrate:
            conclude(*session.calibrate(self.nodeid, test.progress))
        else:
            conclude(*session.compare(self.nodeid, test.progress))

    def reportinfo(self) -> Any:
        """Return the location of the replaced test."""
        return self._replaced.reportinfo()


def prepare_session(config: pytest.Config, settings: Settings) -> None:
    """Create the paired session of this run, and register its cleanup.

    Raises:
        pytest.UsageError: there is no such revision, or an option conflicts with the comparison.
    """
    _refuse_conflicting_options(config, settings)
    open_sides = _sides(config, settings)
    start = WorkerStart(
        files=(), options=_worker_options(config, settings), timeout_seconds=settings.worker_timeout_seconds
    )
    session = PairedSession(settings, open_sides, start)
    config.stash[_SESSION] = session
    config.add_cleanup(session.close)
    config.add_cleanup(_interrupted_by_sigterm())


def _sides(config: pytest.Config, settings: Settings) -> OpenSides:
    root = config.rootpath
    if settings.calibrate:
        return lambda: same_code_twice(root)
    try:
        revision = find_revision(settings.editable or root, settings.against)
    except DiffoptError as error:
        msg = f"diffopt: {error}"
        raise pytest.UsageError(msg) from error
    is_project = root.is_relative_to(revision.repository)
    return lambda: both_sides(revision, root=root, is_project=is_project)


def replace_latency_tests(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Replace every test that times a call by a `PairedItem`, and deselect all others."""
    timing = [item for item in items if _TIMING_FIXTURE in our_fixtures(item)]
    others = [item for item in items if item not in timing]
    items[:] = [PairedItem.replacing(item) for item in timing]
    if others:
        config.hook.pytest_deselected(items=others)
    config.stash[_SESSION].use_tests([item.nodeid for item in items])


def _refuse_conflicting_options(config: pytest.Config, settings: Settings) -> None:
    mode = "--diffopt-calibrate" if settings.calibrate else "--diffopt-against"
    if settings.calibrate and settings.against:
        msg = "--diffopt-calibrate compares the same code with itself; remove --diffopt-against"
        raise pytest.UsageError(msg)
    if settings.update != "never":
        msg = f"{mode} and --diffopt-update cannot be combined: {mode} writes no baseline"
        raise pytest.UsageError(msg)
    if _is_distributed(config):
        msg = f"{mode} and -n cannot be combined: concurrent tests disturb each other's times"
        raise pytest.UsageError(msg)


def _is_distributed(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "numprocesses", None)) or hasattr(config, "workerinput")


def _worker_options(config: pytest.Config, settings: Settings) -> tuple[str, ...]:
    """Return the options that determine what a test builds; each side reads the ini file of its own tree."""
    # Output is not captured: pytest's capture buffer would be lost when a worker crashes.
    options = ["-s", "-p", "no:cacheprovider", f"--diffopt-scale={settings.scale}"]
    options.append(f"--diffopt-max-seconds={settings.paired_max_seconds}")
    options += settings.device_options
    if settings.weights_folder is not None:
        options.append(f"--diffopt-weights={settings.weights_folder}")
    if config.pluginmanager.hasplugin("xdist"):
        options.append("-n0")
    return tuple(options)


def _interrupted_by_sigterm() -> Callable[[], None]:
    """Make SIGTERM, which a CI runner sends at its time limit, act like Ctrl-C; return a function that undoes this."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals belong to the embedding program
        return lambda: None

    def undo() -> None:
        signal.signal(signal.SIGTERM, before)

    return undo


_SESSION = pytest.StashKey[PairedSession]()
