"""Compiler settings: Inductor's flags, and the compile cache that later processes reuse."""

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
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_CACHE_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
_ONLY_COMPILED = "only a compiler reads it"
_NO_INDUCTOR = "Inductor compiled nothing: without a GPU, or with another backend, compiled code is only traced"


@dataclass(frozen=True, kw_only=True)
class _RemovedFlag:
    """A flag of older torch versions that current torch ignores.

    Attributes:
        since: the first torch version that ignores it.
        instead: what replaces it.
    """

    since: str
    instead: str


_PROLOGUES = "prologue_fusion, which is on by default, fuses the cast into the matmul"
_REMOVED_FLAGS = {
    "use_mixed_mm": _RemovedFlag(since="2.7", instead=_PROLOGUES),
    "mixed_mm_choice": _RemovedFlag(since="2.7", instead=_PROLOGUES),
    "force_mixed_mm": _RemovedFlag(since="2.5", instead=_PROLOGUES),
}


@dataclass(frozen=True, kw_only=True)
class InductorFlags(Optimization):
    """Flags of `torch._inductor.config`, set while the pipeline runs and therefore while it is compiled.

    Attributes:
        flags: values by name: `inductor(flags={"conv_1x1_as_mm": True})`.
    """

    name: ClassVar[str] = "inductor"
    stage: ClassVar[Stage] = Stage.COMPILER
    partners: ClassVar[dict[str, str]] = {"compile": _ONLY_COMPILED}

    flags: dict[str, bool | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject flags that the installed torch ignores, before a pipeline is built."""
        if not self.flags:
            msg = 'inductor(flags=...) must name at least one flag, as in {"conv_1x1_as_mm": True}, got: {}'
            raise RecipeError(msg)
        known = inductor_flags()
        for name, value in self.flags.items():
            _refuse_removed(name)
            if name not in known:
                msg = f"torch {torch.__version__} has no inductor flag {name!r}{did_you_mean(name, known)}"
                raise RecipeError(msg)
            _refuse_wrong_type(name, value, known[name])

    @override
    def apply(self, pipeline: Any) -> None:
        """Change nothing in the pipeline: the flags are set by `call_context`."""

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        compilations = flags_while_compiling(applied_at_us(pipeline))
        missing = [line for name, value in self.flags.items() for line in _mismatches(name, value, compilations)]
        if not compilations:
            missing.append("nothing was compiled since the recipe was applied")
        right = sum(all(seen.get(name) == value for name, value in self.flags.items()) for seen in compilations)
        return self.state(f"{', '.join(self.flags)} set in {right} of {len(compilations)} compilations", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        figure = "compilations by Inductor with the flags"
        compilations = flags_while_compiling(applied_at_us(pipeline), by_inductor=True)
        if not compilations:
            return self.unseen(_NO_INDUCTOR, figure)
        return self.acted(
            figure, sum(all(one.get(name) == value for name, value in self.flags.items()) for one in compilations)
        )

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return inductor_flags_set(self.flags)


def _refuse_removed(name: str) -> None:
    removed = _REMOVED_FLAGS.get(name)
    if removed:
        msg = f"inductor flag {name!r} has no effect since torch {removed.since}: remove it; {removed.instead}"
        raise RecipeError(msg)


def _refuse_wrong_type(name: str, value: object, default: object) -> None:
    expected = type(default)
    if expected in {bool, int, str} and type(value) is not expected:
        msg = f"inductor flag {name!r} takes {expected.__name__}, got: {value!r}"
        raise RecipeError(msg)


def _mismatches(name: str, value: object, compilations: list[Mapping[str, Any]]) -> Iterator[str]:
    others = [seen.get(name) for seen in compilations if seen.get(name) != value]
    if others:
        kinds = ", ".join(sorted({repr(other) for other in others}))
        yield f"{name} was {kinds} in {len(others)} of {len(compilations)} compilations"


@dataclass(frozen=True, kw_only=True)
class CompileCache(Optimization):
    """Inductor's compiled code on disk, so that the next process does not compile it again.

    Attributes:
        folder: where the code is stored; created if missing.
    """

    name: ClassVar[str] = "compile_cache"
    stage: ClassVar[Stage] = Stage.COMPILER
    partners: ClassVar[dict[str, str]] = {"compile": _ONLY_COMPILED}

    folder: str = ""

    def __post_init__(self) -> None:
        """Reject an empty folder name."""
        if not self.folder:
            msg = "compile_cache(folder=...) must name a folder, got: ''"
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        try:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"compile_cache(folder=...) must name a writable folder, got: {self.folder!r} ({error})"
            raise RecipeError(msg) from error

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        folder = os.environ.get(_CACHE_FOLDER, "")
        graphs = list(Path(self.folder).glob("fxgraph/*/*"))
        missing = [] if graphs else [f"{self.folder} contains no compiled graph; only the inductor backend stores any"]
        if folder != self.folder:
            missing.append(f"compiled code is stored in {folder or 'the default folder'} while the pipeline runs")
        return self.state(f"{len(graphs)} compiled graphs in {self.folder}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        figure = f"compiled graphs in {self.folder}"
        if not flags_while_compiling(applied_at_us(pipeline), by_inductor=True):
            return self.unseen(_NO_INDUCTOR, figure)
        return self.acted(figure, len(list(Path(self.folder).glob("fxgraph/*/*"))))

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
