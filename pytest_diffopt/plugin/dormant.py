"""The plugin in a session that has no diffopt test yet: it waits for the first one, and opens the session with it.

Other people's sessions stay as they are: nothing of what a diffopt session needs is imported there, and no line of
this plugin is shown.
"""

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import pytest

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.plugin.markers import belongs_to_diffopt, has_diffopt_marker
from pytest_diffopt.session.first_use import opened_at_first_use
from pytest_diffopt.session.our_fixtures import is_package_in_use


def open_session(config: pytest.Config) -> None:
    """Read the settings and register the hooks of a session.

    Raises:
        pytest.UsageError: the settings are invalid.
    """
    from pytest_diffopt.plugin import session_hooks, settings_reading  # noqa: PLC0415 - not for other people's tests
    from pytest_diffopt.session.settings import keep_settings  # noqa: PLC0415 - as above

    keep_settings(config, settings_reading.read_settings(config))
    session_hooks.register(config)


class DormantSession:
    """The hooks that look for the first diffopt test; they are unregistered once it is found."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_open = False
        self._ended_workers: list[tuple[Any, object | None]] = []

    def _open(self) -> None:
        """Open the session, and report the workers that ended before."""
        if self._is_open:
            return
        self._is_open = True
        plugins = self._config.pluginmanager
        plugins.unregister(self)
        open_session(self._config)
        for node, error in self._ended_workers:
            self._plugin("diffopt-reports").pytest_testnodedown(node, error)

    def _plugin(self, name: str) -> Any:
        return self._config.pluginmanager.get_plugin(name)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize the first test that has the marker; the hooks of the session do it from the second on."""
        if has_diffopt_marker(metafunc.definition):
            self._open()
            self._plugin("diffopt-session").pytest_generate_tests(metafunc)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Open the session for a test that has the marker or a fixture, or whose file imports an assertion."""
        if is_package_in_use() or belongs_to_diffopt(item):
            self._open()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Open the session when a test that nothing announced calls an assertion."""
        with ExitStack() as entered, opened_at_first_use(lambda: self._enter(item, entered)):
            return (yield)

    def _enter(self, item: pytest.Item, entered: ExitStack) -> None:
        from pytest_diffopt.plugin import running_test  # noqa: PLC0415 - not for other people's tests

        self._open()
        entered.enter_context(running_test.entered(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Give the test its outcome, as the hooks of a session do, if the session opens while it runs."""
        result = yield
        if self._is_open:
            from pytest_diffopt.plugin.delayed_outcome import settle_outcome  # noqa: PLC0415 - as above

            settle_outcome()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show an error of this package without its frames, as the hooks of a session do."""
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, DiffoptError):
            from pytest_diffopt.plugin.failure_report import shorten_failure  # noqa: PLC0415 - as above

            shorten_failure(report, call, item)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Open the session in the controller of xdist, with the first report of a worker that carries a finding."""
        if any(name.startswith("diffopt_") for name in vars(report)):
            self._open()
            self._plugin("diffopt-reports").pytest_runtest_logreport(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Note an xdist worker that ended before its tests did."""
        self._ended_workers.append((node, error))
