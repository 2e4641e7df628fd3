"""Quantization: the selected layers, rejected recipes, and float8's requirement on the GPU."""

from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.errors import RecipeError, RecipeWarning
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.layer_filters import filter_named
from pytest_diffopt.recipes.quantization import Fp8Dynamic
from pytest_diffopt.recipes.recipe import Recipe
from tests.unit.tiny_pipelines import tiny_sdxl

NO_MATCH = "its filter (diffusion-fast: more than 16 inputs, and none of the article's 19 slow shapes)"


class Pipeline:
    """The part of a pipeline that quantization uses: modules by name, and a device."""

    def __init__(self, *linears: nn.Linear, device: str = "cpu") -> None:
        self.components = {"transformer": nn.Sequential(*linears)}
        self.device = torch.device(device)


def refusal(text: str, pipeline: Any) -> str:
    """Apply a recipe that does not fit and return the message."""
    with pytest.raises(RecipeError) as caught, pytest.warns(RecipeWarning):
        parse_recipe(text).apply(pipeline)
    return str(caught.value)


def quiet(text: str) -> Recipe:
    """Parse a recipe with `compile` added, so that it gives no warning."""
    return parse_recipe(f"{text} + compile")


@pytest.mark.parametrize(
    ("shape", "is_chosen"),
    [((16, 64), False), ((17, 64), True), ((1280, 640), False), ((640, 1280), False), ((1280, 1280), True)],
)
def test_the_articles_filter(shape: tuple[int, int], *, is_chosen: bool) -> None:
    """It selects layers with more than 16 inputs, except for the article's slow shapes."""
    layer = nn.Linear(*shape, device="meta")

    assert filter_named("diffusion-fast").choose(nn.Sequential(layer)) == [layer] * is_chosen


def test_the_blocks_filter_selects_only_the_repeated_blocks(pipeline: Any) -> None:
    """Regional compilation does not compile the embeddings, where int8 would run uncompiled."""
    chosen = filter_named("blocks").choose(pipeline.unet)
    block = pipeline.unet.mid_block.attentions[0].transformer_blocks[0]

    assert block.attn1.to_q in chosen
    assert pipeline.unet.time_embedding.linear_1 not in chosen
    assert len(chosen) == 110


def test_a_filter_that_selects_no_layer_is_refused() -> None:
    """The quantization would have no effect."""
    pipeline = Pipeline(nn.Linear(16, 16), nn.Linear(640, 640))

    assert refusal("int8_dynamic(target=['denoiser'])", pipeline) == (
        f"int8_dynamic has no effect: {NO_MATCH} selects none of the 2 linears of transformer"
    )


def test_a_kernel_that_supports_no_layer_is_refused() -> None:
    """The message shows the kernel's requirement on the shape."""
    assert refusal("int4_weight_only(group_size=64)", Pipeline(nn.Linear(32, 32))) == (
        "int4_weight_only has no effect: its filter (all, in_features a multiple of group_size) "
        "selects none of the 1 linears of transformer"
    )


def test_an_unknown_target_is_refused(pipeline: Any) -> None:
    """The message suggests the closest module and lists all."""
    assert refusal("int8_dynamic(target=['unit'])", pipeline) == (
        "int8_dynamic(target=...) must name a module of the pipeline, got: 'unit' (did you mean 'unet'?); "
        "it has: vae, text_encoder, text_encoder_2, unet"
    )


def test_an_empty_target_is_refused(pipeline: Any) -> None:
    """`verify` could not detect a missing optimization without a target."""
    assert refusal("int8_dynamic(target=[])", pipeline) == (
        "int8_dynamic(target=...) must name at least one module, got: []"
    )


def test_missing_torchao_is_reported(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message shows the command that installs it."""

    def missing(_name: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("pytest_diffopt.recipes.torchao_access.version", missing)

    assert refusal("int8_weight_only", pipeline) == (
        'int8_weight_only needs torchao, which is not installed: pip install "torchao>=0.18"'
    )


def test_old_torchao_is_reported(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message shows both versions and the command."""
    monkeypatch.setattr("pytest_diffopt.recipes.torchao_access.version", lambda _name: "0.9.0")

    assert refusal("int8_dynamic", pipeline) == (
        'int8_dynamic needs torchao 0.18 or newer, and 0.9.0 is installed: pip install "torchao>=0.18"'
    )


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("int8_dynamic", "130.5 s per image uncompiled and 3.41 s compiled"),
        ("int8_weight_only", "8.55 s per image uncompiled and 4.62 s compiled"),
    ],
)
def test_quantization_without_compile_warns(pipeline: Any, text: str, known: str) -> None:
    """The warning shows the published times."""
    with pytest.warns(RecipeWarning) as caught:
        parse_recipe(f"bf16 + {text}").apply(pipeline)

    assert [str(one.message) for one in caught] == [
        f"{text} has no benefit without compile: diffusers-torchao published {known} for FLUX.1-dev at batch 1 "
        "(bfloat16: 6.57 s and 4.21 s)"
    ]


def test_one_unquantized_layer_is_reported(pipeline: Any) -> None:
    """A layer that replaced another after the recipe was applied is counted."""
    recipe = quiet("bf16 + int8_dynamic")
    recipe.apply(pipeline)
    pipeline.unet.mid_block.attentions[0].proj_in = nn.Linear(32, 32)

    assert recipe.verify(pipeline)[1].found == "146 of 147 linears"
    assert recipe.verify(pipeline)[1].missing == (
        "1 of 139 linears of unet do not have int8 weights with dynamic activations",
    )


def test_dynamic_and_weight_only_int8_are_distinguished() -> None:
    """Neither is found where the other was applied."""
    dynamic, weight_only = tiny_sdxl(), tiny_sdxl()
    quiet("int8_dynamic").apply(dynamic)
    quiet("int8_weight_only").apply(weight_only)

    assert parse_recipe("int8_dynamic").verify(weight_only)[0].found.startswith("0 of 147 linears")
    assert parse_recipe("int8_weight_only").verify(dynamic)[0].found == "0 of 139 linears"


def test_quantizing_twice_is_refused() -> None:
    """A recipe can contain one quantization."""
    with pytest.raises(RecipeError) as error:
        parse_recipe("int8_dynamic + int8_weight_only")

    assert str(error.value) == (
        "int8_dynamic and int8_weight_only contradict each other (a layer's weight is quantized once), "
        "got: int8_dynamic + int8_weight_only"
    )


@pytest.mark.parametrize(
    ("capability", "reason"),
    [
        ((8, 9), ""),
        ((9, 0), ""),
        ((8, 6), "needs a GPU of compute capability 8.9 or newer, and this one has 8.6"),
    ],
)
def test_float8_needs_a_recent_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], reason: str) -> None:
    """Older GPUs have no float8 matmul."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)

    assert Fp8Dynamic().why_unavailable(torch.device("cuda")) == reason


def test_float8_without_a_gpu_is_refused(pipeline: Any) -> None:
    """`apply` raises an error; a suite skips the test with the same reason."""
    with pytest.raises(RecipeError) as error:
        quiet("fp8_dynamic").apply(pipeline)

    assert str(error.value) == (
        "fp8_dynamic needs a GPU of compute capability 8.9 or newer, and this pipeline is on 'cpu'"
    )


def test_float8_weights_are_found(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its hardware check torchao quantizes the weights on the CPU too; only a call needs a GPU."""
    monkeypatch.setattr(Fp8Dynamic, "why_unavailable", lambda _self, _device: "")
    monkeypatch.setattr("torchao.quantization.quant_api._check_hardware_support", lambda _granularity: None)
    recipe = quiet("bf16 + fp8_dynamic")
    recipe.apply(pipeline)
    (state,) = (one for one in recipe.verify(pipeline) if one.name == "fp8_dynamic")

    assert (state.found, state.missing) == ("42 of 139 linears, 97 left out by the filter", ())


def test_float8_of_a_row_of_zeros_is_a_number(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A padded or an empty prompt has such rows; torchao's own config divides them by their scale of zero."""
    monkeypatch.setattr(Fp8Dynamic, "why_unavailable", lambda _self, _device: "")
    monkeypatch.setattr("torchao.quantization.quant_api._check_hardware_support", lambda _granularity: None)
    quiet("bf16 + fp8_dynamic").apply(pipeline)
    layers = (one for one in pipeline.unet.modules() if type(getattr(one, "weight", None)).__name__ == "Float8Tensor")
    layer = next(layers)
    values = torch.zeros(2, layer.in_features, dtype=torch.bfloat16)
    values[1] = 1

    with torch.no_grad():
        assert layer(values).isfinite().all()


def test_missing_float8_is_reported(pipeline: Any) -> None:
    """`verify` inspects the weights."""
    (state,) = parse_recipe("fp8_dynamic").verify(pipeline)

    assert state.found == "0 of 139 linears, 97 left out by the filter"
    assert state.missing == ("42 of 42 linears of unet do not have float8 weights with dynamic activations",)


def test_int4_uses_the_packed_format_on_a_gpu() -> None:
    """Two values per byte, in a layout for tensor cores; on other devices one value per byte."""
    calls: list[dict[str, object]] = []
    quantization = SimpleNamespace(Int4WeightOnlyConfig=lambda **given: calls.append(given))
    (optimization,) = parse_recipe("int4_weight_only").optimizations
    optimization._config(quantization, Pipeline(device="cuda"))  # type: ignore[attr-defined]

    assert calls == [{"group_size": 32, "int4_packing_format": "tile_packed_to_4d", "version": 2}]
