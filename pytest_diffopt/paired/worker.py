"""The pytest plugin of a worker: it runs the tests that the controller names, and times their calls on request.

pytest loads it with `-p`, and only in a process that the controller started.
"""

import gc
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_diffopt.paired.messages import (
    CONNECTION_VARIABLE,
    OTHER_TREE_VARIABLE,
    OWN_TREE_VARIABLE,
    PROTOCOL,
    Collected,
    Connection,
    ConnectionClosedError,
    CountCall,
    Counted,
    EndedTest,
    FinishTest,
    Quit,
    Ready,
    RunTest,
    TimeCalls,
    Timed,
)

_CONTROLLER_GONE = 3


class Controller:
    """The worker's end of the connection to the controller."""

    def __init__(self, connection: Connection, *, own_tree: str = "", other_tree: str = "") -> None:
        """Bind to a connection.

        Args:
            connection: the connection.
            own_tree: the folder of this worker's code.
            other_tree: the folder of the other worker's code.
        """
        self._connection = connection
        self._own_tree, self._other_tree = own_tree, other_tree

    def next_test(self) -> RunTest | Quit:
        """Wait for the next test to run."""
        request: RunTest | Quit = self._connection.receive(RunTest | Quit)
        return request

    def report(self, event: Collected | EndedTest) -> None:
        """Report that the tests are collected, or that one has ended."""
        self._connection.send(event)

    def serve(self, ready: Ready, *, time_calls: Callable[[int], Timed], count: Callable[[], Counted]) -> None:
        """Time or count the warm call of the running test on each request, until the controller ends the test.

        Args:
            ready: sent first: what is called, and where.
            time_calls: makes the call this number of times, and returns how long that took.
            count: makes the call on the simulated GPU, and returns its counts.
        """
        self._connection.send(ready)
        while True:
            match self._connection.receive(TimeCalls | CountCall | FinishTest | Quit):
                case TimeCalls(repeats=repeats):
                    self._connection.send(time_calls(repeats))
                case CountCall():
                    self._connection.send(count())
                case FinishTest():
                    return
                case _:
                    os._exit(0)

    def modules_of_trees(self) -> tuple[int, tuple[str, ...]]:
        """Return the number of modules imported from this worker's tree, and the names of those from the other tree."""
        own, foreign = 0, []
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if not file or Path(file).is_relative_to(sys.prefix):
                continue
            if self._own_tree and Path(file).is_relative_to(self._own_tree):
                own += 1
            elif self._other_tree and Path(file).is_relative_to(self._other_tree):
                foreign.append(name)
        return own, tuple(sorted(foreign))


class WorkerPlugin:
    """Runs the tests that the controller names, one at a time, instead of all collected tests."""

    def __init__(self, controller: Controller) -> None:
        """Bind to the controller."""
        self._controller = controller
        self._reports: list[pytest.TestReport] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Replace pytest's loop over the tests."""
        items = {item.nodeid: item for item in session.items}
        with _ended_with_controller():
            self._controller.report(Collected(protocol=PROTOCOL, nodeids=tuple(items)))
            while isinstance(request := self._controller.next_test(), RunTest):
                self._reports.clear()
                item = items[request.nodeid]
                # Without a next item pytest tears down all fixtures, session-scoped pipelines included.
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                self._controller.report(_ended(self._reports))
        gc.freeze()  # at exit the interpreter would examine every object of torch, and the controller would wait for it
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of the test's phases."""
        self._reports.append(report)


@contextmanager
def _ended_with_controller() -> Any:
    """Exit this process when the controller closes the connection: no other process would terminate it."""
    try:
        yield
    except ConnectionClosedError:
        os._exit(_CONTROLLER_GONE)


def _ended(reports: Sequence[pytest.TestReport]) -> EndedTest:
    worst = next((report for report in reports if not report.passed), None)
    if worst is None:
        return EndedTest(outcome="passed", text="")
    text = worst.longrepr[2] if isinstance(worst.longrepr, tuple) else worst.longreprtext
    return EndedTest(outcome=worst.outcome, text=text)


def pytest_configure(config: pytest.Config) -> None:
    """Connect to the controller that started this process."""
    # Removed from the environment, so that a pytest process started by a test is not a worker.
    number, own_tree, other_tree = (
        os.environ.pop(name, "") for name in (CONNECTION_VARIABLE, OWN_TREE_VARIABLE, OTHER_TREE_VARIABLE)
    )
    if not number:
        msg = "pytest_diffopt.paired.worker is only for processes that --diffopt-against starts"
        raise pytest.UsageError(msg)
    connection = Connection(socket.socket(fileno=int(number)))
    controller = Controller(connection, own_tree=own_tree, other_tree=other_tree)
    config.stash[CONTROLLER] = controller
    config.pluginmanager.register(WorkerPlugin(controller), "diffopt-paired-worker")


#: The key of the controller in a worker's `config.stash`.
CONTROLLER = pytest.StashKey[Controller]()
