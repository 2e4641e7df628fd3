"""The test files of diffusers' pipelines that a change touches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.atlas.import_graph import ImportGraph
from benchmarks.diffusers_tests.cases import files, groups


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class TouchedFile:
    """A test file that imports a changed module.

    Attributes:
        distance: length of the shortest path of imports to a changed module; 1 if the test imports it itself.
        group: folder of the test file.
        stem: name of the test file without its suffix.
    """

    distance: int
    group: str
    stem: str

    @property
    def name(self) -> str:
        """Name by which the atlas skips a file."""
        return f"{self.group}/{self.stem}"


def touched_files(checkout: Path, changed: Iterable[str], *, farthest: int) -> Sequence[TouchedFile]:
    """Return the test files that a change touches, the nearest first.

    Args:
        checkout: the changed checkout of diffusers.
        changed: paths from its root.
        farthest: the largest distance.
    """
    graph = ImportGraph(checkout)
    modules = {module for path in changed if (module := graph.module_of(path))}
    found = []
    for file in [file for group in groups(checkout) for file in files(checkout, group)] if modules else []:
        distances = [far for module, far in graph.distances(file).items() if module in modules]
        if distances and min(distances) <= farthest:
            found.append(TouchedFile(distance=min(distances), group=file.parent.name, stem=file.stem))
    return sorted(found)
