"""torch.compile of the denoiser, the VAE's decoder, or any other module or method."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import CodeType
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import override

from pytest_diffopt._torch_private.compiled_code import compiled_code_count, is_compiled_module, original_callable
from pytest_diffopt._torch_private.shape_specs import HAS_SHAPES, ISOLATES_RECOMPILES
from pytest_diffopt._torch_private.tracing_backend import trace_only
from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.pipelines.components import DENOISER, component_names, denoiser_names
from pytest_diffopt.recipes.cuda_graphs import layers_of, targets_without_graphs
from pytest_diffopt.recipes.effect_reading import summed
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.regions import (
    compile_blocks,
    compiled_regions,
    forwards_of_blocks,
    forwards_of_regions,
    repeated_blocks,
)
from pytest_diffopt.recipes.varying_shapes import keyword_for, require_parameters
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_GRAPH_MODES = frozenset({"reduce-overhead", "max-autotune"})
_MOVED_WEIGHTS = (
    "mode={mode!r} records CUDA graphs for weights at fixed addresses, and offload moves them in each call: use "
    'mode="max-autotune-no-cudagraphs" or no mode'
)


@dataclass(frozen=True, kw_only=True)
class Compile(Optimization):
    """`torch.compile`, in place, so that the pipeline keeps its modules.

    Attributes:
        target: `denoiser` (the UNet or transformer), a component's name, or `component.method`, for each part to
            compile.
        mode: Inductor's mode.
        fullgraph: raise on a graph break instead of counting it.
        dynamic: compile for any shape (True), for each shape separately (False), or let torch decide (None).
        regional: compile each kind of repeated block of the denoiser once, instead of the whole denoiser. True uses
            diffusers' `compile_repeated_blocks`, "accelerate" uses accelerate's `compile_regions`, which compiles
            every layer.
        backend: the compiler; None selects Inductor on a GPU, and elsewhere a backend that only traces.
        dynamic_shapes: the parameters whose tensors vary in size, each with an entry per dimension: None is a fixed
            size, a word a varying one, and equal words are equal sizes. All other sizes are fixed. Needs torch 2.13.
        isolate_recompiles: count compilations for each compiled module, and not for each class. Needs torch 2.13.
    """

    name: ClassVar[str] = "compile"
    stage: ClassVar[Stage] = Stage.COMPILATION

    target: tuple[str, ...] = ("denoiser", "vae.decode")
    mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] | None = None
    fullgraph: bool = False
    dynamic: bool | None = None
    regional: bool | Literal["accelerate"] = False
    backend: str | None = None
    dynamic_shapes: dict[str, tuple[str | None, ...]] | None = None
    isolate_recompiles: bool = False

    def __post_init__(self) -> None:
        """Reject what no pipeline can be compiled with, before one is built."""
        if not self.target:
            msg = "compile(target=...) must name at least one module or method, got: []"
            raise RecipeError(msg)
        self._require_options_of_torch()
        if self.dynamic_shapes and (self.dynamic is not None or self.regional == "accelerate"):
            other = f"dynamic={self.dynamic}" if self.dynamic is not None else 'regional="accelerate"'
            msg = f"compile takes dynamic_shapes or {other}, and not both"
            raise RecipeError(msg)
        known = torch.compiler.list_backends(exclude_tags=()) if self.backend else []
        if self.backend and self.backend not in known:
            hint = did_you_mean(self.backend, known)
            msg = f"unknown backend of compile: {self.backend!r}{hint}; known: {', '.join(known)}"
            raise RecipeError(msg)

    def _require_options_of_torch(self) -> None:
        known = {"dynamic_shapes": HAS_SHAPES, "isolate_recompiles": ISOLATES_RECOMPILES}
        for name, is_known in known.items():
            if getattr(self, name) and not is_known:
                msg = f"compile({name}=...) needs torch 2.13 or newer, and this is torch {torch.__version__}"
                raise RecipeError(msg)

    @override
    def clash(self, other: Optimization) -> str:
        if self.mode in _GRAPH_MODES and other.stage is Stage.OFFLOAD:
            return _MOVED_WEIGHTS.format(mode=self.mode)
        return super().clash(other)

    @override
    def apply(self, pipeline: Any) -> None:
        for component, method in (part for target in self.target for part in _resolve(pipeline, target)):
            owner, options = getattr(pipeline, component), self._options(pipeline)
            if method:
                function = getattr(owner, method)
                options |= self._shapes({f"{component}.{method}": function})
                setattr(owner, method, torch.compile(function, **options))
            elif self.regional == "accelerate" and component in denoiser_names(pipeline):
                setattr(pipeline, component, compiled_regions(owner, options))
            elif self.regional and component in denoiser_names(pipeline):
                self._compile_blocks(owner, options)
            else:
                owner.compile(**options, **self._shapes({component: type(owner).forward}))

    def _compile_blocks(self, denoiser: Any, options: Mapping[str, Any]) -> None:
        blocks = repeated_blocks(denoiser)
        if not self.dynamic_shapes or not blocks:
            compile_blocks(denoiser, options)
            return
        require_parameters(self.dynamic_shapes, {type(block).__name__: type(block).forward for block in blocks})
        for block in blocks:  # as diffusers does, but each kind of block has parameters of its own
            block.compile(**options, **keyword_for(self.dynamic_shapes, type(block).forward))

    def _shapes(self, part: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
        """Return the keyword of `torch.compile` for the sizes that vary in one function, given with its name."""
        if not self.dynamic_shapes:
            return {}
        require_parameters(self.dynamic_shapes, part)
        return keyword_for(self.dynamic_shapes, *part.values())

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        lines = {target: self._missing(pipeline, target) for target in self.target}
        missing = [line for lines_of_target in lines.values() for line in lines_of_target]
        missing += self._without_cuda_graphs(pipeline)
        compiled = [target for target in self.target if not lines[target]]
        traced = "" if self._is_on_gpu(pipeline) or self.backend else " (only traced: no GPU)"
        return self.state(f"compiled code ran for {', '.join(compiled) or 'nothing'}{traced}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        lacking = [line for target in self.target for line in _uncompiled(pipeline, target, call)]
        seen = [_PartCalls(module=one.part, step=one.step, count=one.graphs) for one in call.compiled]
        return self.acted(
            "calls of compiled graphs", **summed(seen, call), lacking=(*lacking, *self._without_cuda_graphs(pipeline))
        )

    def _missing(self, pipeline: Any, target: str) -> list[str]:
        return [line for part in _resolve(pipeline, target) for line in self._missing_part(pipeline, *part)]

    def _missing_part(self, pipeline: Any, component: str, method: str) -> list[str]:
        functions = self._compiled_functions(pipeline, component, method)
        name = f"{component}.{method}" if method else component
        if not functions:
            return [f"{name} is not compiled"]
        if not all(map(_has_compiled_code, functions)):
            return [f"{name} is compiled, but its compiled code has not run"]
        return []

    def _without_cuda_graphs(self, pipeline: Any) -> list[str]:
        """Return a line for each target that runs without a CUDA graph although its mode asks for one."""
        if self.mode not in _GRAPH_MODES or self.backend or pipeline.device.type != "cuda":
            return []
        parts = {
            f"{component}.{method}" if method else component: self._compiled_functions(pipeline, component, method)
            for target in self.target
            for component, method in _resolve(pipeline, target)
        }
        return [f"{line} with mode={self.mode!r}" for line in targets_without_graphs(parts)]

    def _compiled_functions(self, pipeline: Any, component: str, method: str) -> list[Any]:
        """Return the original functions that a target compiles; empty if any of them is not compiled."""
        owner = getattr(pipeline, component)
        if method:
            original = original_callable(getattr(owner, method))
            return [] if original is None else [original]
        if self.regional and component in denoiser_names(pipeline):
            return forwards_of_regions(owner) if self.regional == "accelerate" else forwards_of_blocks(owner)
        return [type(owner).forward] if is_compiled_module(owner) else []

    def _options(self, pipeline: Any) -> dict[str, Any]:
        options: dict[str, Any] = {"fullgraph": self.fullgraph, "dynamic": self.dynamic}
        if self.isolate_recompiles:
            options["isolate_recompiles"] = True
        if self.backend or not self._is_on_gpu(pipeline):
            # Without a GPU, Dynamo and AOTAutograd trace as they do for Inductor, and no kernel is generated.
            return options | {"backend": self.backend or trace_only}
        return options | ({"mode": self.mode} if self.mode else {})

    @staticmethod
    def _is_on_gpu(pipeline: Any) -> bool:
        return bool(pipeline.device.type not in {"cpu", "meta"})


def _resolve(pipeline: Any, target: str) -> list[tuple[str, str]]:
    """Split a target into pairs of component name and method name; the method is empty for the module itself.

    A chain of pipelines has several denoisers; `denoiser` resolves to each of them.

    Raises:
        RecipeError: the pipeline has no such component, or the component has no such method.
    """
    part, _, method = target.partition(".")
    components = denoiser_names(pipeline) if part == DENOISER else component_names(pipeline, part)
    owners = [getattr(pipeline, component, None) for component in components]
    if not owners or not all(_can_compile(owner, method) for owner in owners):
        msg = f"compile(target=...) must name a module of the pipeline or one of its methods, got: {target!r}"
        raise RecipeError(msg)
    return [(component, method) for component in components]


@dataclass(frozen=True, kw_only=True)
class _PartCalls:
    """The graphs that a compiled part ran in a step.

    Attributes:
        module: the path of the part.
        step: the denoise step; None outside of the loop.
        count: the number of graphs.
    """

    module: str
    step: int | None
    count: int


def _uncompiled(pipeline: Any, target: str, call: CallEvidence) -> Iterator[str]:
    """Yield a line for each part of a target that ran eager code, or that was never called.

    A call that a step cache saved runs neither: the same call of eager code was skipped.
    """
    saved = Counter[tuple[str, int | None]]()
    for module in call.modules:
        saved[module.module, module.step] += module.skipped
    for component, method in _resolve(pipeline, target):
        name = f"{component}.{method}" if method else component
        seen = [one for one in call.compiled if one.part == name or one.part.startswith(f"{name}.")]
        eager = sum(max(one.eager - saved[one.part, one.step], 0) for one in seen)
        total = sum(one.count for one in seen)
        if not seen:
            yield f"no compiled code of {name} was called"
        elif eager:
            yield f"{eager} of {total} calls of {name} ran no compiled graph"


def _can_compile(owner: Any, method: str) -> bool:
    return isinstance(owner, torch.nn.Module) and (not method or callable(getattr(owner, method, None)))


def _has_compiled_code(function: Any) -> bool:
    """Return whether Dynamo has, or had before a reset, compiled code for a function or for a function that it wraps.

    A decorated `forward` is compiled starting at its wrapper. When the wrapper has a graph break, the inner function
    is compiled separately.
    """
    codes = [layer.__code__ for layer in layers_of(function)]
    return any(compiled_code_count(code) or code in _discarded.get() for code in codes)


_discarded: ContextVar[Collection[CodeType]] = ContextVar("diffopt_discarded_code", default=frozenset())


@contextmanager
def code_compiled_before(codes: Collection[CodeType]) -> Iterator[None]:
    """Let `verify` count code that ran in the pipeline and that a reset of Dynamo discarded since then."""
    token = _discarded.set(codes)
    try:
        yield
    finally:
        _discarded.reset(token)
