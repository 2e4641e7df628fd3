"""Run other projects' test suites without and with the plugin: `python benchmarks/foreign_suites.py pluggy attrs`.

Each suite comes from the project's source distribution. It runs in two environments that differ only in this plugin.
Neither has torch or another package that a diffopt session imports, so that a session which imports one fails. The
outcomes of all tests must be equal.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).parents[1]
_WITHOUT_AUTHORS_PLUGINS = ("-p", "no:cacheprovider", "-q")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The test suite of another project.

    Attributes:
        distribution: the source distribution, with its version.
        needs: what its tests import besides pytest.
        tests: the folder of its tests.
    """

    distribution: str
    needs: tuple[str, ...] = ()
    tests: str = "testing"


_SUITES = {
    "pluggy": Suite(distribution="pluggy==1.7.0"),
    "attrs": Suite(distribution="attrs==26.1.0", needs=("hypothesis",), tests="tests"),
    "pytest-xdist": Suite(distribution="pytest-xdist==3.8.0", needs=("filelock",)),
    "pytest": Suite(
        distribution="pytest==9.2.0", needs=("attrs", "hypothesis", "mock", "requests", "setuptools", "xmlschema")
    ),
}


def main() -> int:
    """Print the number of each outcome and every test whose outcome differs; the exit code is 1 if one does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="+", choices=sorted(_SUITES), metavar="SUITE", help=", ".join(_SUITES))
    parser.add_argument("--folder", type=Path, help="where the environments remain for the next run")
    parser.add_argument("--only", nargs="+", default=(), metavar="FILE", help="files below the folder of tests")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        found = [_differs(_SUITES[name], folder / name, arguments.only) for name in arguments.suites]
    return int(any(found))


def _differs(suite: Suite, folder: Path, only: Sequence[str]) -> bool:
    source = _source(suite, folder)
    tests = [f"{suite.tests}/{file}" for file in only] or [suite.tests]
    plain = _outcomes(_environment(suite, folder / "without"), source, tests)
    beside = _outcomes(_environment(suite, folder / "beside", _REPOSITORY), source, tests)
    different = sorted(name for name in plain.keys() | beside.keys() if plain.get(name) != beside.get(name))
    print(f"{suite.distribution}: {_counted(plain)} without, {_counted(beside)} beside, {len(different)} different")
    for name in different:
        print(f"  {name}: {plain.get(name, 'absent')} without, {beside.get(name, 'absent')} beside")
    return bool(different) or not plain


def _source(suite: Suite, folder: Path) -> Path:
    """Return the unpacked source distribution."""
    folder.mkdir(parents=True, exist_ok=True)
    download = ("download", "-qq", "--no-deps", "--no-binary=:all:", f"--dest={folder}", suite.distribution)
    subprocess.run([sys.executable, "-m", "pip", *download], check=True)
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def _environment(suite: Suite, folder: Path, *without_dependencies: Path) -> Path:
    """Return the interpreter of an environment that has pytest and what the suite needs."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [str(python), "-m", "pip", "install", "-qq"]
    subprocess.run([*install, "pytest", suite.distribution, *suite.needs], check=True)
    for distribution in without_dependencies:
        subprocess.run([*install, "--no-deps", "--force-reinstall", str(distribution)], check=True)
    return python


def _outcomes(python: Path, source: Path, tests: Sequence[str]) -> Mapping[str, str]:
    """Return the outcome of each test, by its name in JUnit XML."""
    written = python.parent / "outcomes.xml"
    command = [str(python), "-m", "pytest", *_WITHOUT_AUTHORS_PLUGINS, f"--junit-xml={written}", *tests]
    with tempfile.TemporaryDirectory() as own:  # pytest removes the older folders of other runs in a shared one
        environment = os.environ | {"TMPDIR": own}
        output = subprocess.DEVNULL
        subprocess.run(command, cwd=source, check=False, stdout=output, stderr=output, env=environment)
    cases = ET.parse(written).iterfind(".//testcase")  # noqa: S314 - written by the run above
    return {f"{case.get('classname')}.{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ET.Element) -> str:
    return next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")


def _counted(outcomes: Mapping[str, str]) -> str:
    counts = Counter(outcomes.values())
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) or "no tests"


if __name__ == "__main__":
    sys.exit(main())
