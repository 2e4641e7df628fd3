"""What the plugin adds to a pytest start: `python benchmarks/start_up.py`.

Two commands in turn, so that a noisy machine hits both alike: Python importing pytest, and the same with this plugin;
then pytest collecting an empty project without the plugin, and with it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

_LIMIT_MS = 15.0
_HEAVY = ("torch", "numpy", "diffusers", "transformers", "skimage", "scipy")


def main() -> int:
    """Print both differences and what was imported; the exit code is 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how often each command runs")
    rounds = parser.parse_args().rounds
    heavy = _heavy_modules()
    with tempfile.TemporaryDirectory() as folder:
        imports = _compare(
            _python("import pytest"), _python("import pytest, pytest_diffopt.plugin.hooks"), rounds, folder
        )
        start = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        starts = _compare([*start, "-p", "no:diffopt"], start, rounds, folder)
    print(f"importing the plugin adds {imports:.1f} ms to importing pytest (up to {_LIMIT_MS:g} ms promised)")
    print(f"the plugin adds {starts:.1f} ms to pytest in an empty folder")
    print(f"heavy modules imported by the plugin: {', '.join(heavy) or 'none'} (none promised)")
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
