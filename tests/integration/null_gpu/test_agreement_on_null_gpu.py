"""The comparison of the simulated GPU with torch's own CUDA code, end to end on the null GPU."""

import os
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).parents[3]
_TABLE = "pytest_diffopt.simulated_gpu.cuda.sync_table"
# Python imports this module at its start, in both processes that the comparison starts.
_WITHOUT_A_ROW = f"""
import importlib.machinery
import sys


class WithoutARow:
    def find_spec(self, name, path, target=None):
        if name != "{_TABLE}":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            module.RULES = tuple(rule for rule in module.RULES if rule.name != "item")

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, WithoutARow())
"""


def compare(folder: Path, library_cache: Path, *, injected: bool) -> "subprocess.CompletedProcess[str]":
    """Compare two calls, one of which reads a value."""
    (folder / "sitecustomize.py").write_text(_WITHOUT_A_ROW if injected else "", encoding="utf-8")
    environment = dict(os.environ) | {
        "PYTHONPATH": os.pathsep.join([str(folder), str(_REPOSITORY)]),
        "DIFFOPT_NULL_GPU_CACHE": str(library_cache),
    }
    environment.pop("DIFFOPT_NULL_GPU_DEVICE", None)
    command = [sys.executable, "-m", "benchmarks.simulated_vs_cuda", "--json", str(folder / "agreement.json")]
    return subprocess.run(
        [*command, "--only", "row: item", "row: isclose"],
        cwd=_REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_simulation_agrees(library_cache: Path, tmp_path: Path) -> None:
    """Both calls were compared, and the exit code is 0."""
    done = compare(tmp_path, library_cache, injected=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "of 2 cases the simulated GPU and CUDA agree on syncs that the sync debug mode reports in 2, all syncs in 2"
    )


def test_wrong_row_fails_and_is_named(library_cache: Path, tmp_path: Path) -> None:
    """A simulation in which `.item()` does not synchronize fails; the call and its line are named."""
    done = compare(tmp_path, library_cache, injected=True)

    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    named = lines[lines.index("unexplained:") + 1 :][:2]
    assert [line.rsplit(": ", 1)[1] for line in named] == ["simulated 0, CUDA 1"] * 2
    assert all("row: item: " in line and "test_sync_table.py:" in line for line in named)
