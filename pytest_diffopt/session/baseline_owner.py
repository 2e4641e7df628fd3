"""The test that owns a baseline."""

import shlex
from dataclasses import dataclass

import pytest

from pytest_diffopt.session.our_fixtures import our_fixtures
from pytest_diffopt.session.settings import Settings

# A test that uses one of these has a baseline file of its own.
_OWNING_FIXTURES = frozenset(
    {
        "compile_baseline",
        "count_baseline",
        "image_baseline",
        "kernel_baseline",
        "latency_baseline",
        "memory_baseline",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineOwner:
    """The test that owns a baseline.

    Attributes:
        nodeid: pytest's node id.
        suite: the test file relative to the root folder, without its suffix.
        name: the name within the file, `Class.test` in a class.
    """

    nodeid: str
    suite: str
    name: str

    def rerun_command(self, settings: Settings) -> str:
        """Return the command that runs this test alone."""
        return " ".join(["pytest", shlex.quote(self.nodeid), *settings.device_options])


def owner_of(item: pytest.Item) -> BaselineOwner:
    """Split a node id into the file and the name within it."""
    file, _, name = item.nodeid.partition("::")
    return BaselineOwner(nodeid=item.nodeid, suite=file.removesuffix(".py"), name=name.replace("::", "."))


def owns_baseline(item: pytest.Item) -> bool:
    """Return whether a test has a baseline file of its own."""
    return not _OWNING_FIXTURES.isdisjoint(our_fixtures(item))
