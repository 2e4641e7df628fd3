"""Precision: fp32, tf32, bf16 and fp16."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import OptimizationState

_ONE_DTYPE = "a pipeline has one precision"


@dataclass(frozen=True, kw_only=True)
class _Precision(Optimization):
    """Parameters and buffers of every module in one floating-point dtype."""

    stage: ClassVar[Stage] = Stage.PRECISION
    dtype: ClassVar[torch.dtype]

    @override
    def apply(self, pipeline: Any) -> None:
        pipeline.to(self.dtype)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        total, right, missing = 0, 0, []
        for name, module in modules_of(pipeline).items():
            floating = [parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()]
            others = [dtype for dtype in floating if dtype != self.dtype]
            total += len(floating)
            right += len(floating) - len(others)
            if others:
                kinds = ", ".join(sorted({_plain(dtype) for dtype in others}))
                missing.append(f"{len(others)} of {len(floating)} parameters of {name} are {kinds}")
        return self.state(f"{right} of {total} parameters are {_plain(self.dtype)}", missing)


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True, kw_only=True)
class Fp32(_Precision):
    """float32 parameters, buffers and computation: the plain recipe, and the reference for every other one."""

    name: ClassVar[str] = "fp32"
    dtype: ClassVar[torch.dtype] = torch.float32
    conflicts: ClassVar[dict[str, str]] = {"bf16": _ONE_DTYPE, "fp16": _ONE_DTYPE}


@dataclass(frozen=True, kw_only=True)
class Bf16(_Precision):
    """bfloat16 parameters, buffers and computation."""

    name: ClassVar[str] = "bf16"
    dtype: ClassVar[torch.dtype] = torch.bfloat16
    conflicts: ClassVar[dict[str, str]] = {
        "fp16": _ONE_DTYPE,
        "tf32": "tf32 speeds up float32 matmuls, and none remains",
    }


@dataclass(frozen=True, kw_only=True)
class Fp16(_Precision):
    """float16 parameters, buffers and computation; diffusers upcasts a VAE that overflows in float16."""

    name: ClassVar[str] = "fp16"
    dtype: ClassVar[torch.dtype] = torch.float16
    conflicts: ClassVar[dict[str, str]] = {"tf32": "tf32 speeds up float32 matmuls, and none remains"}


@dataclass(frozen=True, kw_only=True)
class Tf32(Optimization):
    """TensorFloat-32 for float32 matmuls: `torch.set_float32_matmul_precision("high")` while the pipeline runs."""

    name: ClassVar[str] = "tf32"
    stage: ClassVar[Stage] = Stage.PRECISION

    @override
    def apply(self, pipeline: Any) -> None:
        """Change nothing in the pipeline: the precision is set by `call_context`."""

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        precision = torch.get_float32_matmul_precision()
        missing = [] if precision != "highest" else ["float32 matmuls run in full precision while the pipeline runs"]
        return self.state(f"float32 matmul precision is {precision!r} while the pipeline runs", missing)

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return _matmul_precision("high")


@contextmanager
def _matmul_precision(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
