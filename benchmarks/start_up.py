"""Measure what the plugin adds to the start of pytest: `python benchmarks/start_up.py`.

Two commands are interleaved, so that a noisy machine affects both equally: a Python process that imports pytest,
without and with this plugin; then pytest in an empty project, and with 2000 tests of another project, without and with
it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_LIMIT_MS = 15.0
_NUM_TESTS = 2000
_MANY_TESTS = f"""
import pytest

@pytest.fixture
def number(request):
    return request.param

@pytest.mark.parametrize("number", range({_NUM_TESTS}), indirect=True)
def test_it(number, tmp_path_factory):
    assert number >= 0
"""
_HEAVY = ("torch", "numpy", "diffusers", "transformers", "skimage", "scipy")


def main() -> int:
    """Print both differences and the heavy imports; the exit code is 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="runs of each command")
    rounds = parser.parse_args().rounds
    heavy = _heavy_modules()
    with tempfile.TemporaryDirectory() as folder:
        imports = _compare(
            _python("import pytest"), _python("import pytest, pytest_diffopt.plugin.hooks"), rounds, folder
        )
        start = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        starts = _compare([*start, "-p", "no:diffopt"], start, rounds, folder)
        Path(folder, "test_many.py").write_text(_MANY_TESTS, encoding="utf-8")
        many = _compare([*start, "-p", "no:diffopt"], start, max(rounds // 3, 3), folder)
    print(f"importing the plugin adds {imports:.1f} ms to importing pytest ({_LIMIT_MS:g} ms allowed)")
    print(f"the plugin adds {starts:.1f} ms to pytest in an empty folder")
    print(f"the plugin adds {1000 * (many - starts) / _NUM_TESTS:.1f} us to each test of another project")
    print(f"heavy modules imported by the plugin: {', '.join(heavy) or 'none'} (none allowed)")
    return 1 if heavy or imports > _LIMIT_MS else 0


def _compare(without: Sequence[str], with_plugin: Sequence[str], rounds: int, folder: str) -> float:
    """Return the median of the paired differences, in milliseconds."""
    pairs = [(_seconds(without, folder), _seconds(with_plugin, folder)) for _ in range(rounds)]
    return 1000 * statistics.median(after - before for before, after in pairs)


def _seconds(command: Sequence[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _heavy_modules() -> list[str]:
    names = ", ".join(repr(name) for name in _HEAVY)
    code = (
        f"import pytest, pytest_diffopt.plugin.hooks, sys; print(*(name for name in ({names}) if name in sys.modules))"
    )
    return subprocess.run(_python(code), check=True, capture_output=True, text=True).stdout.split()


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


if __name__ == "__main__":
    sys.exit(main())
