"""Python imports this at its start where this folder is on PYTHONPATH: it starts the null GPU's recording.

Another `sitecustomize` that it hides is run afterwards.
"""

# ruff: noqa: INP001 - a folder on the path, and no package

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).parent


def _run_hidden() -> None:
    others = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE.resolve()]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _start() -> None:
    # another Python than the one that has the package: its processes have no record
    if importlib.util.find_spec("pytest_diffopt") is not None:
        from pytest_diffopt.null_gpu.recording import start_recording  # noqa: PLC0415 - it may be missing

        start_recording()


_start()
_run_hidden()
