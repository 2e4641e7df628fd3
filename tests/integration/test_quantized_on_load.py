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
