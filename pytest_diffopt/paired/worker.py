"""The plugin of a worker: it runs the tests that the controller names, and times their calls when it is asked to.

pytest loads it with `-p`, in a process that the controller started and nobody else.
"""

import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_diffopt.paired.messages import (
    LINE_VARIABLE,
    OTHER_TREE_VARIABLE,
    OWN_TREE_VARIABLE,
    PROTOCOL,
    Collected,
    CountCall,
    Counted,
    EndedTest,
    FinishTest,
    Line,
    LineClosedError,
    Quit,
    Ready,
    RunTest,
    TimeCalls,
    Timed,
)

# Taken out of the environment at once: a test that starts pytest starts no worker.
_LINE = os.environ.pop(LINE_VARIABLE, "")
_OWN_TREE, _OTHER_TREE = os.environ.pop(OWN_TREE_VARIABLE, ""), os.environ.pop(OTHER_TREE_VARIABLE, "")
_CONTROLLER_GONE = 3


class Controller:
    """The controller as a worker sees it."""

    def __init__(self, line: Line) -> None:
        """Bind to the worker's end of the line."""
        self._line = line
        self.was_served = False

    def next_test(self) -> RunTest | Quit:
        """Wait for the next test to run."""
        request: RunTest | Quit = self._line.receive(RunTest | Quit)
        self.was_served = False
        return request

    def progress(self, answer: Collected | EndedTest) -> None:
        """Say that the tests are known, or that one is over."""
        self._line.send(answer)

    def serve(self, ready: Ready, *, time_calls: Callable[[int], Timed], count: Callable[[], Counted]) -> None:
        """Time the warm call of the running test whenever the controller wants it, until it has seen enough.

        Args:
            ready: what the controller should know.
            time_calls: makes the call so many times, and returns how long that took.
            count: counts what it does on the simulated GPU.
        """
        self._line.send(ready)
        self.was_served = True
        while True:
            match self._line.receive(TimeCalls | CountCall | FinishTest | Quit):
                case TimeCalls(repeats=repeats):
                    self._line.send(time_calls(repeats))
                case CountCall():
                    self._line.send(count())
                case FinishTest():
                    return
                case _:
                    os._exit(0)


class WorkerPlugin:
    """Runs one test after the other, as the controller names them, instead of all."""

    def __init__(self, controller: Controller) -> None:
        """Bind to the controller."""
        self._controller = controller
        self._reports: list[pytest.TestReport] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's loop."""
        items = {item.nodeid: item for item in session.items}
        with _ended_with_controller():
            self._controller.progress(Collected(protocol=PROTOCOL, nodeids=tuple(items)))
            while isinstance(request := self._controller.next_test(), RunTest):
                self._reports.clear()
                item = items[request.nodeid]
                # Without a next test whatever this one set up is torn down, the pipeline of its session too.
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                self._controller.progress(_ended(self._reports))
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember how the parts of the test went."""
        self._reports.append(report)


@contextmanager
def _ended_with_controller() -> Any:
    """End this process when the controller is gone: nobody is left who would clean up after it."""
    try:
        yield
    except LineClosedError:
        os._exit(_CONTROLLER_GONE)


def _ended(reports: Sequence[pytest.TestReport]) -> EndedTest:
    worst = next((report for report in reports if not report.passed), None)
    if worst is None:
        return EndedTest(outcome="passed", text="")
    text = worst.longrepr[2] if isinstance(worst.longrepr, tuple) else worst.longreprtext
    return EndedTest(outcome=worst.outcome, text=text)


def modules_of_trees() -> tuple[int, tuple[str, ...]]:
    """Return how many imported modules are from this worker's tree, and the names of those from the other's."""
    own, foreign = 0, []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or Path(file).is_relative_to(sys.prefix):
            continue
        if _OWN_TREE and Path(file).is_relative_to(_OWN_TREE):
            own += 1
        elif _OTHER_TREE and Path(file).is_relative_to(_OTHER_TREE):
            foreign.append(name)
    return own, tuple(sorted(foreign))


def pytest_configure(config: pytest.Config) -> None:
    """Bind to the controller that started this process."""
    if not _LINE:
        msg = "pytest_diffopt.paired.worker is for processes that --diffopt-against starts"
        raise pytest.UsageError(msg)
    controller = Controller(Line(socket.socket(fileno=int(_LINE))))
    config.stash[CONTROLLER] = controller
    config.pluginmanager.register(WorkerPlugin(controller), "diffopt-paired-worker")


#: Where a worker's config keeps its controller.
CONTROLLER = pytest.StashKey[Controller]()
