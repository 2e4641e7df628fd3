"""The test that owns a baseline."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_diffopt.session.our_fixtures import our_fixtures
from pytest_diffopt.session.settings import Settings

# A test that uses one of these has a baseline file of its own.
_OWNING_FIXTURES = frozenset(
    {
        "compile_baseline",
        "count_baseline",
        "effect_baseline",
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
        arguments: pytest's arguments that select this test in the folder in which pytest was started; by default the
            node id, which is relative to the root folder.
    """

    nodeid: str
    suite: str
    name: str
    arguments: tuple[str, ...] = ()

    def rerun_command(self, settings: Settings) -> str:
        """Return the command that runs this test alone, from the folder in which pytest was started."""
        test = self.arguments or (self.nodeid,)
        return " ".join(["pytest", shlex.join(test), *settings.device_options])


def owner_of(item: pytest.Item) -> BaselineOwner:
    """Split a node id into the file and the name within it."""
    file, _, name = item.nodeid.partition("::")
    return BaselineOwner(
        nodeid=item.nodeid,
        suite=file.removesuffix(".py"),
        name=name.replace("::", "."),
        arguments=(*_config_options(item.config), f"{_from_here(item.path, item.config)}::{name}"),
    )


def _config_options(config: pytest.Config) -> list[str]:
    """Return the options without which pytest would find another configuration file or root folder."""
    given = config.option
    file = ["-c", given.inifilename] if given.inifilename else []
    if given.rootdir:
        return [*file, f"--rootdir={given.rootdir}"]
    is_elsewhere = config.inipath is None and config.rootpath != config.invocation_params.dir
    return [*file, f"--rootdir={_from_here(config.rootpath, config)}"] if is_elsewhere else file


def _from_here(path: Path, config: pytest.Config) -> str:
    return os.path.relpath(path, config.invocation_params.dir)


def owns_baseline(item: pytest.Item) -> bool:
    """Return whether a test has a baseline file of its own."""
    return not _OWNING_FIXTURES.isdisjoint(our_fixtures(item))
