"""What compilation produced as one file, which another process or machine loads instead of compiling."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from typing_extensions import override

from pytest_diffopt._torch_private.inductor import CacheTotals, cache_totals, inductor_caches_on
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_NO_INDUCTOR = "Inductor compiled nothing: without a GPU, or with another backend, compiled code is only traced"


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What was known when the recipe was applied.

    Attributes:
        was_loaded: whether the file existed.
        totals: the hits and misses of the caches until then.
    """

    was_loaded: bool
    totals: CacheTotals


_started: "WeakKeyDictionary[Any, _Start]" = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class CompileArtifacts(Optimization):
    """`torch.compiler.save_cache_artifacts()` after the calls that compile, and `load_cache_artifacts(...)` before.

    Attributes:
        file: the file; loaded if it exists, and written after each call that compiled something.
    """

    name: ClassVar[str] = "compile_artifacts"
    stage: ClassVar[Stage] = Stage.COMPILER
    partners: ClassVar[dict[str, str]] = {"compile": "only a compiler reads it"}
    conflicts: ClassVar[dict[str, str]] = {"compile_cache": "both keep compiled code: in one file, or in a folder"}

    file: str = ""

    def __post_init__(self) -> None:
        """Reject an empty file name."""
        if not self.file:
            msg = "compile_artifacts(file=...) must name a file, got: ''"
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        path = Path(self.file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = path.read_bytes() if path.exists() else b""
        except OSError as error:
            msg = f"compile_artifacts(file=...) must name a file that can be read and written: {error}"
            raise RecipeError(msg) from error
        if kept:
            _load(path, kept)
        _started[pipeline] = _Start(was_loaded=bool(kept), totals=cache_totals())

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return _saved_to(Path(self.file))

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        path = Path(self.file)
        size = path.stat().st_size if path.exists() else 0
        missing = [] if size else [f"{self.file} has no compiled code; only the inductor backend stores any"]
        return self.state(f"{size} bytes of compiled code in {self.file}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        start, now = _started.get(pipeline), cache_totals()
        figure = f"compiled graphs that are in {self.file}"
        if start is None:
            return self.acted(figure, 0)
        loaded, compiled = now.hits - start.totals.hits, now.misses - start.totals.misses
        if not loaded and not compiled:
            return self.unseen(_NO_INDUCTOR, figure)
        if not start.was_loaded:
            return self.acted(figure, (loaded + compiled) * Path(self.file).exists())
        again = [f"{compiled} of {loaded + compiled} graphs were compiled, although the file was loaded"]
        return self.acted(f"compiled graphs that {self.file} saved", loaded, lacking=tuple(again * bool(compiled)))


def _load(path: Path, kept: bytes) -> None:
    try:
        loaded = torch.compiler.load_cache_artifacts(kept)
    except Exception as error:
        msg = f"compile_artifacts cannot load {path}: {type(error).__name__}: {error}; remove the file"
        raise RecipeError(msg) from error
    if loaded is None:
        msg = f"compile_artifacts cannot load {path}: torch {torch.__version__} does not read it; remove the file"
        raise RecipeError(msg)


@contextmanager
def _saved_to(path: Path) -> Iterator[None]:
    """Save what was compiled until the end of the block, if something was compiled in it."""
    before = cache_totals().misses
    with inductor_caches_on():
        yield
    if cache_totals().misses > before:
        made = torch.compiler.save_cache_artifacts()
        if made is not None:
            part = path.with_name(f"{path.name}.{os.getpid()}")
            part.write_bytes(made[0])
            part.replace(path)
