"""The tests of a paired session: each stands for the test of the same name that two workers run."""

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
from pytest_diffopt.session.settings import Settings

_TIMING_FIXTURE = "latency_baseline"


class PairedItem(pytest.Item):
    """One test, which is not run here: nothing is built in this process."""

    def __init__(self, *, stands_for: pytest.Item, **node: Any) -> None:
        """Take the place of a test."""
        super().__init__(**node)
        self._stands_for = stands_for
        self.own_markers = list(stands_for.own_markers)

    @classmethod
    def standing_for(cls, item: pytest.Item) -> "PairedItem":
        """Return the item that takes the place of another, under its name."""
        assert item.parent is not None, "unreachable because every test has a file"  # noqa: S101
        return cls.from_parent(item.parent, name=item.name, stands_for=item)

    def runtest(self) -> None:
        """Let both workers time the test's call, and conclude."""
        __tracebackhide__ = True
        test, session = active_test(), self.config.stash[_SESSION]
        if test.settings.calibrate:
            conclude(*session.calibrate(self.nodeid, test.progress))
        else:
            conclude(*session.compare(self.nodeid, test.progress))

    def reportinfo(self) -> Any:
        """Say where the test is."""
        return self._stands_for.reportinfo()


def prepare_session(config: pytest.Config, settings: Settings) -> None:
    """Get a session ready to compare, and see to it that nothing of it is left at the end.

    Raises:
        pytest.UsageError: the revision cannot be found, or this run cannot compare.
    """
    _refuse(config, settings)
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


def stand_for_latency_tests(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put an item of ours in the place of every test that times a call, and leave out all others."""
    timing = [item for item in items if _TIMING_FIXTURE in getattr(item, "fixturenames", ())]
    others = [item for item in items if item not in timing]
    items[:] = [PairedItem.standing_for(item) for item in timing]
    if others:
        config.hook.pytest_deselected(items=others)
    session = config.stash[_SESSION]
    session.num_cases = len(items)
    session.use_files(list(dict.fromkeys(item.nodeid.partition("::")[0] for item in items)))


def _refuse(config: pytest.Config, settings: Settings) -> None:
    mode = "--diffopt-calibrate" if settings.calibrate else "--diffopt-against"
    if settings.calibrate and settings.against:
        msg = "--diffopt-calibrate compares the same code with itself, so it takes no --diffopt-against"
        raise pytest.UsageError(msg)
    asked = [
        name for name, given in (("--diffopt-update", settings.update != "never"), ("-n", _is_spread(config))) if given
    ]
    if asked:
        why = {
            "--diffopt-update": "it writes no baseline",
            "-n": "tests that run beside each other disturb each other's times",
        }[asked[0]]
        msg = f"{mode} and {asked[0]} do not go together: {why}"
        raise pytest.UsageError(msg)


def _is_spread(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "numprocesses", None)) or hasattr(config, "workerinput")


def _worker_options(config: pytest.Config, settings: Settings) -> tuple[str, ...]:
    """Return the options that decide what a test builds; what a project's ini file says each side reads itself."""
    # Nothing is captured: what a worker wrote before it died would be lost with its buffer.
    options = ["-s", "-p", "no:cacheprovider", f"--diffopt-scale={settings.scale}"]
    options.append(f"--diffopt-max-seconds={settings.paired_max_seconds}")
    if settings.use_gpu:
        options.append("--gpu")
    if settings.weights_folder is not None:
        options.append(f"--diffopt-weights={settings.weights_folder}")
    if config.pluginmanager.hasplugin("xdist"):
        options.append("-n0")
    return tuple(options)


def _interrupted_by_sigterm() -> Callable[[], None]:
    """Let SIGTERM, which a runner sends when the time is over, end the session like Ctrl-C; return what undoes it."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: somebody else has the process in hand
        return lambda: None

    def undo() -> None:
        signal.signal(signal.SIGTERM, before)

    return undo


_SESSION = pytest.StashKey[PairedSession]()
