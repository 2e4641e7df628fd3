"""The test that owns a baseline."""

import shlex
from dataclasses import dataclass

import pytest

from pytest_diffopt.session.settings import Settings

# A test that uses one of these has a baseline file of its own.
_OWNING_FIXTURES = frozenset(
    {"compile_baseline", "count_baseline", "image_baseline", "latency_baseline", "memory_baseline"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """The test that owns a baseline.

    Attributes:
        nodeid: pytest's name of it.
        suite: its file from the root folder, without the ending.
        name: its name within the file, `Class.test` in a class.
    """

    nodeid: str
    suite: str
    name: str

    def rerun_command(self, settings: Settings) -> str:
        """Return the command that runs this test alone."""
        gpu = " --gpu" if settings.use_gpu else ""
        return f"pytest {shlex.quote(self.nodeid)}{gpu}"


def case_of(item: pytest.Item) -> Case:
    """Split a test's name into its file and the rest."""
    file, _, name = item.nodeid.partition("::")
    return Case(nodeid=item.nodeid, suite=file.removesuffix(".py"), name=name.replace("::", "."))


def owns_baseline(item: pytest.Item) -> bool:
    """Tell whether a test has a baseline file of its own."""
    return not _OWNING_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
