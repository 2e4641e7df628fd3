"""A pipeline that diffusers quantized while it loaded it: verified, seen in a call, and compared layer by layer."""

import pytest

LOADED = """
import pytest
import torch
from diffusers import DiffusionPipeline, PipelineQuantizationConfig, TorchAoConfig
from pytest_diffopt import (
    assert_optimizations_applied, assert_optimizations_effective, assert_quantized_matches_dequantized, parse_recipe,
)
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

pytestmark = pytest.mark.diffopt(recipe="quantized_on_load")

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    tiny_sdxl().save_pretrained(folder)
    return folder

def loaded(folder, config=None):
    options = {}
    if config is not None:
        one = TorchAoConfig(config, modules_to_not_convert=["time_embedding"])
        options["quantization_config"] = PipelineQuantizationConfig(quant_mapping={"unet": one})
    pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.bfloat16, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline

@pytest.mark.parametrize("config", [Int8WeightOnlyConfig(version=2), Float8WeightOnlyConfig()], ids=["int8", "fp8"])
def test_clean(folder, config):
    pipeline = loaded(folder, config)
    parse_recipe("quantized_on_load").apply(pipeline)
    assert_optimizations_effective(pipeline, **INPUTS)
    assert_optimizations_applied(pipeline)
    assert_quantized_matches_dequantized(pipeline, **INPUTS)

def test_never_quantized_is_not_applied(folder):
    assert_optimizations_applied(loaded(folder))

def test_never_quantized_has_no_effect(folder):
    assert_optimizations_effective(loaded(folder), **INPUTS)

def test_a_layer_that_lost_it(folder):
    pipeline = loaded(folder, Int8WeightOnlyConfig(version=2))
    layer = pipeline.unet.mid_block.attentions[0].proj_in
    layer.weight = torch.nn.Parameter(layer.weight.dequantize())
    assert_optimizations_applied(pipeline)

def test_refused(folder):
    parse_recipe("quantized_on_load").apply(loaded(folder))
"""


def test_quantization_of_a_loaded_pipeline_is_verified(project: pytest.Pytester) -> None:
    """With the excluded layers and the packed size; without the configuration it is neither applied nor effective."""
    pytest.importorskip("torchao")
    project.makepyfile(test_it=LOADED)
    result = project.runpytest_inprocess("-W", "ignore", "--tb=short", "-v")

    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines_random(
        [
            "*quantized_on_load: 137 of 139 linears of unet, 2 excluded, * KiB in place of * KiB in half precision",
            "*quantized_on_load: 274 calls of linears that torchao quantized",
            "    missing: unet is not quantized",
            "  quantized_on_load: 0 calls of linears that torchao quantized",
            "    missing: 1 of 137 linears of unet are not quantized",
            "*quantized_on_load needs a pipeline that was loaded with "
            "quantization_config=PipelineQuantizationConfig(...), and unet (UNet2DConditionModel) is not quantized",
        ]
    )


GGUF = """
import gguf
import torch
from diffusers import FluxTransformer2DModel, GGUFQuantizationConfig
from pytest_diffopt import (
    assert_optimizations_applied, assert_optimizations_effective, assert_quantized_matches_dequantized, parse_recipe,
)

IN_PLAIN = ("x_embedder", "time_text_embed")

def stored(name, weight, kind):
    is_quantized = weight.dim() == 2 and name.endswith("weight") and weight.shape[1] % 256 == 0
    if not is_quantized or name.startswith(IN_PLAIN):
        return {"tensor": weight.numpy()}
    return {"tensor": gguf.quants.quantize(weight.numpy(), kind), "raw_dtype": kind}

def loaded(folder, kind):
    torch.manual_seed(0)
    model = FluxTransformer2DModel(
        in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=128, num_attention_heads=2,
        joint_attention_dim=256, pooled_projection_dim=256, axes_dims_rope=(16, 56, 56),
    )
    model.save_pretrained(folder)
    writer = gguf.GGUFWriter(folder / "model.gguf", "flux")
    for name, weight in model.state_dict().items():
        writer.add_tensor(name, **stored(name, weight, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return FluxTransformer2DModel.from_single_file(
        str(folder / "model.gguf"), config=str(folder), quantization_config=GGUFQuantizationConfig(torch.float32)
    )

class Pipeline:
    def __init__(self, transformer):
        self.transformer, self.components = transformer, {"transformer": transformer}

    def __call__(self):
        ids = torch.zeros(4, 3)
        self.transformer(
            hidden_states=torch.ones(1, 4, 64), encoder_hidden_states=torch.ones(1, 4, 256),
            pooled_projections=torch.ones(1, 256), timestep=torch.ones(1), guidance=None, img_ids=ids, txt_ids=ids,
        )

RECIPE = 'quantized_on_load(backend="gguf", target=["transformer"])'
KINDS = gguf.GGMLQuantizationType

def test_clean(tmp_path):
    pipeline = Pipeline(loaded(tmp_path, KINDS.Q8_0))
    parse_recipe(RECIPE).apply(pipeline)
    assert_optimizations_applied(pipeline)
    assert_optimizations_effective(pipeline)
    assert_quantized_matches_dequantized(pipeline)

def test_a_layer_that_lost_it(tmp_path):
    pipeline = Pipeline(loaded(tmp_path, KINDS.Q4_0))
    layer = pipeline.transformer.transformer_blocks[0].attn.to_q
    layer.weight = torch.nn.Parameter(torch.ones(256, 256))
    assert_optimizations_applied(pipeline, recipe=RECIPE)

def test_a_kernel_that_computes_something_else(tmp_path):
    pipeline = Pipeline(loaded(tmp_path, KINDS.Q4_0))
    layer = pipeline.transformer.transformer_blocks[0].attn.to_q
    layer.register_forward_hook(lambda module, inputs, output: output * 1.01, prepend=True)
    assert_quantized_matches_dequantized(pipeline)
"""


def test_a_gguf_file_keeps_some_layers_plain(project: pytest.Pytester) -> None:
    """They are excluded, and each other layer is compared with what the package gguf reads in the file."""
    pytest.importorskip("gguf")
    project.makepyfile(test_it=GGUF)
    result = project.runpytest_inprocess("-W", "ignore", "--tb=short", "-v")

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*: 23 of 28 linears of transformer, 5 excluded, 3,689 KiB in place of 6,944 KiB in half precision",
            "*numerics * 23 quantized layers, largest error 0.000*",
            "    missing: 1 of 23 linears of transformer are not quantized",
            "diffopt: 1 output of quantized layers differs from the dequantized weights",
            "  transformer.transformer_blocks.0.attn.to_q  float32, 660 of 1024 values out of tolerance, *",
        ]
    )


FOUR_BITS = """
import bitsandbytes
import torch
from pytest_diffopt import assert_quantized_matches_dequantized

def test_clean():
    torch.manual_seed(0)
    layer = bitsandbytes.nn.Linear4bit(64, 64, compute_dtype=torch.float32, quant_type="nf4").to("cpu")
    assert_quantized_matches_dequantized(torch.nn.Sequential(layer), torch.randn(8, 64))
"""


def test_four_bits_of_bitsandbytes_are_compared(project: pytest.Pytester) -> None:
    """On the CPU, where diffusers refuses to load them."""
    pytest.importorskip("bitsandbytes")
    project.makepyfile(test_it=FOUR_BITS)
    project.runpytest_inprocess("-W", "ignore").assert_outcomes(passed=1)


@pytest.mark.parametrize(("backend", "package"), [("bitsandbytes", "bitsandbytes"), ("quanto", "optimum-quanto")])
def test_a_library_that_is_not_installed_is_named(backend: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the pipeline is inspected."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it
    from tests.unit.tiny_pipelines import tiny_sdxl  # noqa: PLC0415 - imports torch

    monkeypatch.setattr("pytest_diffopt.recipes.loaded_quantization.find_spec", lambda _name: None)
    with pytest.raises(RecipeError) as error:
        parse_recipe(f'quantized_on_load(backend="{backend}")').apply(tiny_sdxl())

    assert str(error.value) == f"quantized_on_load needs the package {package}, which is not installed"
