"""Precision: fp32, tf32, bf16 and fp16."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt.pipelines.components import denoiser_names, modules_of
from pytest_diffopt.recipes.effect_reading import component_of, empty_steps, summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.stored_dtypes import parameters_by_path, plain_name
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_ONE_DTYPE = "a pipeline has one precision"


@dataclass(frozen=True, kw_only=True)
class Precision(Optimization):
    """Parameters and buffers of every module in one floating-point dtype."""

    stage: ClassVar[Stage] = Stage.PRECISION
    affects_precision: ClassVar[bool] = True
    dtype: ClassVar[torch.dtype]

    @override
    def apply(self, pipeline: Any) -> None:
        pipeline.to(self.dtype)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        return self.verify_remaining(pipeline, taken_over={})

    def verify_remaining(self, pipeline: Any, *, taken_over: Mapping[str, frozenset[str]]) -> OptimizationState:
        """Inspect the parameters that no other optimization takes over.

        Args:
            pipeline: the pipeline.
            taken_over: the paths of parameters by the optimization that decides their dtype.
        """
        elsewhere = frozenset().union(*taken_over.values())
        remaining = [(path, one) for path, one in parameters_by_path(pipeline).items() if path not in elsewhere]
        right, missing = 0, []
        for name in modules_of(pipeline):
            dtypes = [one.dtype for path, one in remaining if path.startswith(f"{name}.")]
            others = [dtype for dtype in dtypes if dtype != self.dtype]
            right += len(dtypes) - len(others)
            if others:
                kinds = ", ".join(sorted({plain_name(dtype) for dtype in others}))
                missing.append(f"{len(others)} of {len(dtypes)} parameters of {name} are {kinds}")
        found = f"{right} of {len(remaining)} parameters are {plain_name(self.dtype)}"
        stored = [f", {len(paths)} taken over by {name}" for name, paths in taken_over.items() if paths]
        return self.state(found + "".join(stored), missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        dtype = plain_name(self.dtype)
        sums = summed([one for one in work_of(call) if one.dtype == dtype], call)
        lacking = [
            f"{name} ran all its {total} in other dtypes: {', '.join(others)}"
            for name in denoiser_names(pipeline)
            if (others := _dtypes_of(call, name)) and dtype not in others
            for total in [sum(one.count for one in work_of(call) if component_of(one.module) == name)]
        ]
        figure = f"matrix products, convolutions and attention calls in {dtype}"
        return self.acted(figure, **sums, lacking=(*lacking, *empty_steps(sums, call)))


def _dtypes_of(call: CallEvidence, component: str) -> list[str]:
    return sorted({one.dtype for one in work_of(call) if component_of(one.module) == component})


@dataclass(frozen=True, kw_only=True)
class Fp32(Precision):
    """float32 parameters, buffers and computation: the plain recipe, and the reference for every other one."""

    name: ClassVar[str] = "fp32"
    dtype: ClassVar[torch.dtype] = torch.float32
    conflicts: ClassVar[dict[str, str]] = {"bf16": _ONE_DTYPE, "fp16": _ONE_DTYPE}


@dataclass(frozen=True, kw_only=True)
class Bf16(Precision):
    """bfloat16 parameters, buffers and computation."""

    name: ClassVar[str] = "bf16"
    dtype: ClassVar[torch.dtype] = torch.bfloat16
    conflicts: ClassVar[dict[str, str]] = {
        "fp16": _ONE_DTYPE,
        "tf32": "tf32 speeds up float32 matmuls, and none remains",
    }


@dataclass(frozen=True, kw_only=True)
class Fp16(Precision):
    """float16 parameters, buffers and computation; diffusers upcasts a VAE that overflows in float16."""

    name: ClassVar[str] = "fp16"
    dtype: ClassVar[torch.dtype] = torch.float16
    conflicts: ClassVar[dict[str, str]] = {"tf32": "tf32 speeds up float32 matmuls, and none remains"}


@dataclass(frozen=True, kw_only=True)
class Tf32(Optimization):
    """TensorFloat-32 for float32 matmuls: `torch.set_float32_matmul_precision("high")` while the pipeline runs."""

    name: ClassVar[str] = "tf32"
    stage: ClassVar[Stage] = Stage.PRECISION
    affects_precision: ClassVar[bool] = True

    @override
    def apply(self, pipeline: Any) -> None:
        """Change nothing in the pipeline: the precision is set by `call_context`."""

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        precision = torch.get_float32_matmul_precision()
        missing = [] if precision != "highest" else ["float32 matmuls run in full precision while the pipeline runs"]
        return self.state(f"float32 matmul precision is {precision!r} while the pipeline runs", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        figure = "float32 matrix products with TF32 allowed"
        if call.device != "cuda":
            return self.unseen("only a GPU computes in TF32", figure)
        return self.acted(figure, **summed([one for one in work_of(call) if one.precision in {"high", "medium"}], call))

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return _matmul_precision("high")


@contextmanager
def _matmul_precision(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    mkldnn: Any = torch.backends.mkldnn  # which torch's types lack a part of
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, mkldnn.matmul)
    of_backends = [one.fp32_precision for one in backends]
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        # it sets "ieee" where "none" was, which follows torch.backends.fp32_precision
        for one, value in zip(backends, of_backends, strict=True):
            one.fp32_precision = value
