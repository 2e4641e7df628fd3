"""Where a session shows its device, versions and the sources of its weights."""

from collections.abc import Sequence

import pytest

from pytest_diffopt.plugin.collection import weights_lines
from pytest_diffopt.reports.header import header_line
from pytest_diffopt.session.settings import settings_of


class SessionHeader:
    """The line with the device and the versions: in pytest's header, or as soon as there is a diffopt test.

    The controller of xdist collects nothing itself, and shows it above the verdicts.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_due = config.get_verbosity() >= 0 and not config.getoption("no_header", default=False)

    def take(self) -> list[str]:
        """Return the line the first time it is asked for; nothing where pytest shows no header."""
        lines = [header_line(settings_of(self._config), self._config.rootpath)] if self._is_due else []
        self._is_due = False
        return lines

    def pytest_report_header(self) -> list[str]:
        """Show the line in pytest's header if the user asked for something, so that the session was open then."""
        return self.take()

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> list[str]:
        """Show the line, unless the header has it, and the source of the weights of each named pipeline."""
        return [*self.take(), *weights_lines(items, settings_of(self._config))]
