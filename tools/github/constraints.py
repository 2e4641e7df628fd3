"""Print the constraints with which the action installs pytest-diffopt into the environment of a project.

What the project has installed stays as it is, since the tests judge that environment; every other package has the
version with which pytest-diffopt is tested. Started by its path: it imports only the standard library.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

_OWN_NAME = "pytest-diffopt"
_PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")


def constraints(tested: Iterable[str], installed: Mapping[str, str]) -> Iterator[str]:
    """Yield a constraint for each package, sorted by name.

    Args:
        tested: the lines of `constraints.txt`.
        installed: the version of each installed distribution, by name.
    """
    pins = {found[1]: found[2] for line in tested if (found := _PIN.fullmatch(line.strip()))}
    kept = _normalized(pins) | _normalized(installed)
    yield from (f"{name}=={version}" for name, version in sorted(kept.items()) if name != _OWN_NAME)


def _normalized(versions: Mapping[str, str]) -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in versions.items()}


def main() -> None:
    """Print the constraints for the running interpreter; the argument is the path of `constraints.txt`."""
    tested = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    installed = {distribution.name: distribution.version for distribution in distributions() if distribution.name}
    sys.stdout.writelines(f"{line}\n" for line in constraints(tested, installed))


if __name__ == "__main__":
    main()
