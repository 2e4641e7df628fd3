"""The command line of `assert_repeatable`'s second process: the user's own, for one test, without its output files.

Plugins, ini overrides and options of the user's conftest remain, because the test may depend on each of them.
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pytest_diffopt.session.paired_worker import PAIRED_WORKER
from pytest_diffopt.session.second_process import SecondProcess
from pytest_diffopt.session.settings import settings_of

_FROM_CONTROLLER = "diffopt_command_line"
# These select tests, distribute them, write a file or open a debugger.
_DROPPED_WITH_VALUE = (
    *("-k", "-m", "--deselect", "--basetemp", "--junitxml", "--junit-xml", "--log-file", "--report-log", "--html"),
    *("-n", "--numprocesses", "--dist", "--tx", "--maxprocesses", "--max-worker-restart"),
)
_DROPPED = frozenset({"-d", "--pdb", "--trace"})
# (plugin, arguments that switch it off): an option of the ini file can only be overridden
_SWITCHED_OFF = (("junitxml", "--junit-xml="), ("xdist", "-n0"), ("_cov", "--no-cov"))


def second_process_of(item: pytest.Item, temporary: Path) -> SecondProcess:
    """Return how pytest runs this test alone: as the user runs it, on the same device and scale.

    Args:
        item: the test.
        temporary: a folder for pytest's cache.
    """
    config = item.config
    folder, *arguments = _command_line(config)
    file, _, name = _own_nodeid(item).partition("::")
    ours = _same_session(config)
    quiet = _switched_off(config, temporary)
    return SecondProcess(
        arguments=(*arguments, *quiet, *ours, f"{item.path}::{name}"),
        addopts=shlex.join(_kept(shlex.split(os.environ.get("PYTEST_ADDOPTS", "")))),
        folder=Path(folder),
        nodeid=f"{file}::{name}",
    )


def pass_command_line(config: pytest.Config, workerinput: dict[str, object]) -> None:
    """Pass the command line to an xdist worker, whose own has only the controller's parsed options."""
    workerinput[_FROM_CONTROLLER] = _command_line(config)


def _command_line(config: pytest.Config) -> list[str]:
    """Return the folder in which pytest was started, and the user's arguments without tests."""
    passed: list[str] | None = getattr(config, "workerinput", {}).get(_FROM_CONTROLLER)
    if passed is not None:
        return passed
    arguments = list(_kept(config.invocation_params.args))
    for test in config.option.file_or_dir:
        places = [place for place, argument in enumerate(arguments) if argument == test]
        # an equal text behind an option is more likely the option's value
        free = [place for place in places if place == 0 or not arguments[place - 1].startswith("-")]
        for place in (free or places)[-1:]:
            del arguments[place]
    return [str(config.invocation_params.dir), *arguments]


def _kept(arguments: Sequence[object]) -> Iterator[str]:
    """Yield the arguments without those that the second process must not have."""
    rest = iter(str(argument) for argument in arguments)
    for argument in rest:
        if argument in _DROPPED_WITH_VALUE:
            next(rest, None)
        elif argument == "-p":
            plugin = next(rest, "")
            if plugin != PAIRED_WORKER:
                yield from (argument, plugin)
        elif argument not in _DROPPED and not _has_value_of_dropped(argument):
            yield argument


def _has_value_of_dropped(argument: str) -> bool:
    """Return whether an argument is a dropped option and its value: `--dist=load`, `-n2`."""
    return argument.partition("=")[0] in _DROPPED_WITH_VALUE or (
        argument[:2] in _DROPPED_WITH_VALUE and not argument.startswith("--")
    )


def _same_session(config: pytest.Config) -> Iterator[str]:
    settings = settings_of(config)
    yield f"--rootdir={config.rootpath}"
    if config.inipath is not None:
        yield f"--config-file={config.inipath}"
    yield from settings.device_options
    yield f"--diffopt-scale={settings.scale}"
    if settings.weights_folder is not None:
        yield f"--diffopt-weights={settings.weights_folder}"


def _switched_off(config: pytest.Config, temporary: Path) -> Iterator[str]:
    """Yield what keeps the second process from selecting tests and from writing files of this one."""
    has_plugin = config.pluginmanager.hasplugin
    yield from ("-k", "", "-m", "")
    yield from (switch for plugin, switch in _SWITCHED_OFF if has_plugin(plugin))
    if has_plugin("logging-plugin"):
        yield f"--log-file={os.devnull}"
    if has_plugin("cacheprovider"):
        yield from ("-o", f"cache_dir={temporary}")


def _own_nodeid(item: pytest.Item) -> str:
    """Return the node id as a process without workers has it: xdist appends a group's name in its workers."""
    return f"{item.parent.nodeid}::{item.name}" if item.parent is not None else item.nodeid
