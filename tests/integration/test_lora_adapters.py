"""LoRA adapters: several at once, and swapped into a compiled denoiser without a recompile."""

import pytest

#: The other adapter has another rank and other weights.
PROJECT = """
import numpy
import pytest
import torch
from diffusers import SanaPipeline
from peft.utils import get_peft_model_state_dict
from pytest_diffopt import (
    assert_no_recompiles, assert_optimizations_applied, assert_optimizations_effective, lora_loaded, parse_recipe,
)
from tests.unit.tiny_pipelines import SANA_INPUTS as INPUTS, tiny_sana

COMPILED = 'compile(target=["denoiser"], backend="eager")'

@pytest.fixture(scope="module")
def other(tmp_path_factory):
    torch.manual_seed(7)
    pipeline, folder = tiny_sana(), tmp_path_factory.mktemp("other")
    parse_recipe("lora(rank=8, scale=[1.0, 1.0])").apply(pipeline)
    layers = get_peft_model_state_dict(pipeline.transformer, adapter_name="diffopt_2")
    SanaPipeline.save_lora_weights(folder, transformer_lora_layers=layers)
    (file,) = folder.iterdir()
    return str(file)

def pipeline_of(recipe):
    pipeline = tiny_sana()
    parse_recipe(recipe).apply(pipeline)
    return pipeline

def image(pipeline):
    return pipeline(**INPUTS).images

"""
SWAPS = (
    PROJECT
    + """
@pytest.mark.parametrize("lora", ["lora(target_rank=8)", "lora"])
def test_swaps(lora, other):
    pipeline = pipeline_of(f"{lora} + {COMPILED}")
    swapped = INPUTS.within("another LoRA", lora_loaded(other, adapter="diffopt", hotswap=True))
    assert_no_recompiles(pipeline, [INPUTS, swapped])
    assert_optimizations_effective(pipeline, **INPUTS)
    assert_optimizations_applied(pipeline)
    before = image(pipeline)
    with lora_loaded(other, adapter="diffopt", hotswap=True)(pipeline):
        swapped = image(pipeline)
    again = image(pipeline)
    pipeline.unload_lora_weights()
    assert numpy.abs(before - swapped).max() > 0.01
    assert numpy.array_equal(before, again)
    assert numpy.abs(image(pipeline) - image(tiny_sana())).max() < 1e-4

def test_unloaded():
    pipeline = pipeline_of("lora")
    pipeline.unload_lora_weights()
    assert_optimizations_effective(pipeline, **INPUTS)

def test_never_prepared():
    pipeline = pipeline_of("lora")
    assert_optimizations_applied(pipeline, recipe="lora(target_rank=8)")

def test_a_swap_that_changes_nothing(other, monkeypatch):
    pipeline = pipeline_of("lora(target_rank=8)")
    monkeypatch.setattr(pipeline, "load_lora_weights", lambda *args, **options: None)
    with lora_loaded(other, adapter="diffopt", hotswap=True)(pipeline):
        pass
"""
)
SEVERAL = (
    PROJECT
    + """
def test_clean():
    pipeline = pipeline_of("lora(scale=[1.0, 0.5])")
    assert_optimizations_effective(pipeline, **INPUTS)
    assert_optimizations_applied(pipeline)

def test_one_without_effect():
    pipeline = pipeline_of("lora(scale=[1.0, 0.5])")
    for name, weight in pipeline.transformer.named_parameters():
        if "lora_B.diffopt_2" in name:
            weight.data.zero_()
    assert_optimizations_effective(pipeline, **INPUTS)

def test_one_that_is_not_active():
    pipeline = pipeline_of("lora(scale=[1.0, 0.5])")
    pipeline.set_adapters(["diffopt"])
    assert_optimizations_applied(pipeline)

def test_from_files(other):
    pipeline = pipeline_of(f'lora(weights=["{other}", "{other}"], scale=[1.0, 0.5], fused=True)')
    assert_optimizations_effective(pipeline, **INPUTS)
    assert_optimizations_applied(pipeline)
"""
)


def test_a_prepared_adapter_is_swapped_without_a_recompile(project: pytest.Pytester) -> None:
    """The image changes while another adapter is in place, and is that of the plain pipeline without adapters."""
    project.makepyfile(test_it=SWAPS)
    result = project.runpytest_inprocess("-W", "ignore", "--tb=short", "-v")

    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines_random(
        [
            "*test_swaps?lora(target_rank=8)? PASSED*",
            "diffopt: * recompile* (0 allowed)",
            "  lora: 0 calls of adapters that changed a layer's output",
            "    missing: 16 of 16 adapters of transformer cannot be swapped",
            "diffopt: lora_loaded(*) changed no weight of the LoRA 'diffopt'",
        ]
    )


def test_each_of_several_adapters_must_change_something(project: pytest.Pytester) -> None:
    """The failure names the adapter."""
    project.makepyfile(test_it=SEVERAL)
    result = project.runpytest_inprocess("-W", "ignore", "--tb=short", "-v")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*test_clean PASSED*",
            "*test_from_files PASSED*",
            "    lacking: the adapter 'diffopt_2' changed no output",
            "    missing: no layer of transformer has the adapter 'diffopt_2'",
        ]
    )


REFUSED = {
    "lora(rank=0)": "lora(rank=...) must be at least 1, got: 0",
    "lora(weights=[])": "lora(weights=...) must name at least one file, got: []",
    "lora(scale=[])": "lora(scale=...) must have at least one factor, got: []",
    'lora(weights=["a", "b"], scale=[1.0])': "lora takes one scale for each of its 2 weights, got: 1",
    "lora(rank=8, target_rank=4)": "lora(target_rank=...) must be 0, or at least the rank, got: 4",
    "lora(target_rank=8, fused=True)": "lora takes fused=True or target_rank: fused weights cannot be swapped",
    "lora(target_rank=8, scale=[1.0, 0.5])": "lora swaps one adapter, and has several: remove target_rank",
}


@pytest.mark.parametrize("recipe", REFUSED)
def test_adapters_that_do_not_fit_are_refused(recipe: str) -> None:
    """Before a pipeline is built."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it

    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe)

    assert str(error.value) == REFUSED[recipe]
