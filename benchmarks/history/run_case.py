"""Run one case in the environment of one release; `replay.py` starts it with that environment in `PYTHONPATH`.

The verdict is written to a JSON file, because old packages may print to standard output.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from benchmarks.history.environments import HIDDEN
from pytest_diffopt.guards.verdict import Verdict


class _Hiding(PathFinder):
    """A path finder that does not find the hidden packages."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module; None if its package is hidden."""
        return None if fullname.partition(".")[0] in HIDDEN else PathFinder.find_spec(fullname, path, target)


def main() -> int:
    """Write the verdict of the case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release")
    parser.add_argument("verdict", type=Path)
    parser.add_argument("case")
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    if version("diffusers") != options.release:
        print(f"the environment must have diffusers {options.release}, got: {version('diffusers')}")
        return 1
    sys.meta_path[sys.meta_path.index(PathFinder)] = _Hiding
    verdict: Verdict = import_module(f"benchmarks.history.cases.{options.case}").watch(*options.arguments)
    options.verdict.write_text(json.dumps(_as_json(verdict)), encoding="utf-8")
    return 0


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "outcome": verdict.outcome,
        "summary": verdict.summary,
        "explanation": verdict.explanation,
        "figures": dict(verdict.figures),
    }


if __name__ == "__main__":
    sys.exit(main())
