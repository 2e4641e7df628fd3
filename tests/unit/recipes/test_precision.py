"""The precision of the parameters and of float32 matmuls is verified."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.precision import Bf16, Fp16, Fp32, Tf32
from pytest_diffopt.records import OptimizationState

DTYPES = [(Fp32(), torch.float32), (Bf16(), torch.bfloat16), (Fp16(), torch.float16)]


@pytest.mark.parametrize(("precision", "dtype"), DTYPES)
def test_a_precision_is_that_of_every_parameter(pipeline: Any, precision: Optimization, dtype: torch.dtype) -> None:
    """All modules of the pipeline are cast and verified."""
    recipe = parse_recipe(precision.name)
    recipe.apply(pipeline)
    plain = str(dtype).removeprefix("torch.")

    assert {parameter.dtype for parameter in pipeline.unet.parameters()} == {dtype}
    assert recipe.verify(pipeline) == (
        OptimizationState(name=precision.name, found=f"639 of 639 parameters are {plain}"),
    )


@pytest.mark.parametrize(("precision", "dtype"), DTYPES[1:])
def test_a_missing_precision_is_reported(
    pipeline: Any, does_nothing: Callable[[type[Optimization]], None], precision: Optimization, dtype: torch.dtype
) -> None:
    """The parameters with another dtype are counted per module."""
    does_nothing(type(precision))
    recipe = parse_recipe(precision.name)
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name=precision.name,
            found=f"0 of 639 parameters are {str(dtype).removeprefix('torch.')}",
            missing=(
                "156 of 156 parameters of vae are float32",
                "36 of 36 parameters of text_encoder are float32",
                "37 of 37 parameters of text_encoder_2 are float32",
                "410 of 410 parameters of unet are float32",
            ),
        ),
    )


def test_one_module_in_another_precision_is_reported(pipeline: Any) -> None:
    """The state lists only that module, with all its dtypes."""
    recipe = parse_recipe("bf16")
    recipe.apply(pipeline)
    pipeline.vae.to(torch.float32)
    pipeline.vae.encoder.conv_in.to(torch.float16)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="bf16",
            found="483 of 639 parameters are bfloat16",
            missing=("156 of 156 parameters of vae are float16, float32",),
        ),
    )


def test_a_cast_pipeline_is_not_fp32(pipeline: Any, does_nothing: Callable[[type[Optimization]], None]) -> None:
    """A reference must be in float32."""
    pipeline.to(torch.bfloat16)
    does_nothing(Fp32)
    recipe = parse_recipe("fp32")
    recipe.apply(pipeline)

    (state,) = recipe.verify(pipeline)

    assert state.found == "0 of 639 parameters are float32"
    assert state.missing[0] == "156 of 156 parameters of vae are bfloat16"


def test_tf32_is_set_only_during_calls(pipeline: Any) -> None:
    """It is verified inside the call context and restored afterwards."""
    before = torch.get_float32_matmul_precision()
    recipe = parse_recipe("fp32 + tf32")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline)[1] == OptimizationState(
        name="tf32", found="float32 matmul precision is 'high' while the pipeline runs"
    )
    assert torch.get_float32_matmul_precision() == before == "highest"


def test_missing_tf32_is_reported(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in full precision are distinguished from calls in TensorFloat-32."""
    monkeypatch.setattr(Tf32, "call_context", Optimization.call_context)
    recipe = parse_recipe("tf32")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="tf32",
            found="float32 matmul precision is 'highest' while the pipeline runs",
            missing=("float32 matmuls run in full precision while the pipeline runs",),
        ),
    )
