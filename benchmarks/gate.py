"""Time `make gate` in a fresh clone, first and warm: `python benchmarks/gate.py`.

The checked-out commit is cloned into a temporary folder. The installation is timed separately, because it depends on
the network.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_FIRST_LIMIT_S = 240.0
_WARM_LIMIT_S = 120.0


def main() -> int:
    """Print the three times; the exit code is 1 if a limit is exceeded."""
    with tempfile.TemporaryDirectory() as folder:
        _seconds(["git", "clone", "--quiet", str(_ROOT), "clone"], Path(folder))
        clone = Path(folder) / "clone"
        install_s = _seconds(["make", "install"], clone)
        first_s = _seconds(["make", "gate"], clone)
        warm_s = _seconds(["make", "gate"], clone)
    print(f"make install: {install_s:.0f} s")
    print(f"make gate, first: {first_s:.0f} s ({_FIRST_LIMIT_S:.0f} s allowed)")
    print(f"make gate, warm: {warm_s:.0f} s ({_WARM_LIMIT_S:.0f} s allowed)")
    return 1 if first_s > _FIRST_LIMIT_S or warm_s > _WARM_LIMIT_S else 0


def _seconds(command: Sequence[str], folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
