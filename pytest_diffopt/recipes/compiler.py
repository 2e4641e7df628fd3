"""What surrounds compilation: Inductor's flags, and the cache that spares a second run the work."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt._torch_private.inductor import (
    flags_while_compiling,
    inductor_caches_on,
    inductor_flags,
    inductor_flags_set,
)
from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.recipes.applied_at import applied_at_us
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import OptimizationState

_CACHE_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
_ONLY_COMPILED = "nothing but a compiler reads it"


@dataclass(frozen=True, kw_only=True)
class _Gone:
    """A flag that the seeds or their time name and today's torch does not heed: since when, and what replaced it."""

    since: str
    instead: str


_PROLOGUES = "prologue_fusion, which is on by default, fuses the cast into the matmul"
_GONE = {
    "use_mixed_mm": _Gone(since="2.7", instead=_PROLOGUES),
    "mixed_mm_choice": _Gone(since="2.7", instead=_PROLOGUES),
    "force_mixed_mm": _Gone(since="2.5", instead=_PROLOGUES),
}


@dataclass(frozen=True, kw_only=True)
class InductorFlags(Optimization):
    """Flags of `torch._inductor.config`, in force while the pipeline runs, and so while it is compiled.

    Attributes:
        flags: name to value: `inductor(flags={"conv_1x1_as_mm": True})`.
    """

    name: ClassVar[str] = "inductor"
    stage: ClassVar[Stage] = Stage.COMPILER
    partners: ClassVar[dict[str, str]] = {"compile": _ONLY_COMPILED}

    flags: dict[str, bool | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse flags that this torch would ignore, before anybody builds a pipeline for them."""
        if not self.flags:
            msg = 'inductor(flags=...) must name at least one flag, as in {"conv_1x1_as_mm": True}, got: {}'
            raise RecipeError(msg)
        known = inductor_flags()
        for name, value in self.flags.items():
            _refuse_gone(name)
            if name not in known:
                msg = f"torch {torch.__version__} has no inductor flag {name!r}{did_you_mean(name, known)}"
                raise RecipeError(msg)
            _refuse_wrong_type(name, value, known[name])

    @override
    def apply(self, pipeline: Any) -> None:
        """Change nothing in the pipeline: the state of torch while it is compiled is all there is."""

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        compilations = flags_while_compiling(applied_at_us(pipeline))
        missing = [line for name, value in self.flags.items() for line in _unheeded(name, value, compilations)]
        if not compilations:
            missing.append("nothing was compiled since the recipe was applied")
        held = sum(all(seen.get(name) == value for name, value in self.flags.items()) for seen in compilations)
        return self.state(f"{', '.join(self.flags)} held in {held} of {len(compilations)} compilations", missing)

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return inductor_flags_set(self.flags)


def _refuse_gone(name: str) -> None:
    gone = _GONE.get(name)
    if gone:
        msg = f"inductor flag {name!r} does nothing since torch {gone.since}: leave it out; {gone.instead}"
        raise RecipeError(msg)


def _refuse_wrong_type(name: str, value: object, default: object) -> None:
    expected = type(default)
    if expected in {bool, int, str} and type(value) is not expected:
        msg = f"inductor flag {name!r} takes {expected.__name__}, got: {value!r}"
        raise RecipeError(msg)


def _unheeded(name: str, value: object, compilations: list[Mapping[str, Any]]) -> Iterator[str]:
    others = [seen.get(name) for seen in compilations if seen.get(name) != value]
    if others:
        kinds = ", ".join(sorted({repr(other) for other in others}))
        yield f"{name} was {kinds} in {len(others)} of {len(compilations)} compilations"


@dataclass(frozen=True, kw_only=True)
class CompileCache(Optimization):
    """Inductor's compiled code on disk, so that the next process does not compile it again.

    Attributes:
        folder: where it is kept; made when it is missing.
    """

    name: ClassVar[str] = "compile_cache"
    stage: ClassVar[Stage] = Stage.COMPILER
    partners: ClassVar[dict[str, str]] = {"compile": _ONLY_COMPILED}

    folder: str = ""

    def __post_init__(self) -> None:
        """Refuse a cache that lies nowhere."""
        if not self.folder:
            msg = "compile_cache(folder=...) must name a folder, got: ''"
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        try:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"compile_cache(folder=...) must name a folder that can be written, got: {self.folder!r} ({error})"
            raise RecipeError(msg) from error

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        folder = os.environ.get(_CACHE_FOLDER, "")
        graphs = list(Path(self.folder).glob("fxgraph/*/*"))
        missing = [] if graphs else [f"{self.folder} holds no compiled graph: only the backend inductor keeps any"]
        if folder != self.folder:
            missing.append(f"compiled code is kept in {folder or 'the default folder'} while the pipeline runs")
        return self.state(f"{len(graphs)} compiled graphs in {self.folder}", missing)

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return _cached_in(self.folder)


@contextmanager
def _cached_in(folder: str) -> Iterator[None]:
    before = os.environ.get(_CACHE_FOLDER)
    os.environ[_CACHE_FOLDER] = folder
    try:
        with inductor_caches_on():
            yield
    finally:
        if before is None:
            del os.environ[_CACHE_FOLDER]
        else:
            os.environ[_CACHE_FOLDER] = before
