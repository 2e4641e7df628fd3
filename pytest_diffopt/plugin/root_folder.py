"""pytest's root folder, which it finds before it knows the options of plugins."""

from itertools import pairwise
from pathlib import Path

import pytest

_WITH_PATHS = frozenset(
    f"--diffopt-{name}" for name in ("baselines", "references", "weights", "report", "summary", "editable")
)


def refuse_root_of_an_option(config: pytest.Config) -> None:
    """Refuse a root folder that pytest derived from the value of an option of this plugin.

    pytest takes what follows an unknown option for a path of tests. Where such a path is outside of the project, the
    root folder is another one, and with it the ini file and the keys of all baselines.

    Raises:
        pytest.UsageError: an option's value after a blank changed the root folder.
    """
    if config.getoption("rootdir") or config.getoption("inifilename") or _is_usual(config):
        return
    folder = config.invocation_params.dir
    for option, value in pairwise(map(str, config.invocation_params.args)):
        path = folder / value
        if option in _WITH_PATHS and path.exists() and not path.resolve().is_relative_to(folder.resolve()):
            msg = (
                f"diffopt: pytest takes {value} in `{option} {value}` for a path of tests, and made {config.rootpath} "
                f"its root folder: write {option}={value}"
            )
            raise pytest.UsageError(msg)


def _is_usual(config: pytest.Config) -> bool:
    """Return whether the ini file is that of the folder in which pytest was started."""
    return config.inipath is not None and _is_in(config.invocation_params.dir, config.inipath.parent)


def _is_in(folder: Path, parent: Path) -> bool:
    return folder.resolve().is_relative_to(parent.resolve())
