"""A recompile is reported with the call that caused it and the guard that failed."""

import importlib

import pytest

from tests.integration.compiled_projects import run

NO_RECOMPILES = """
import pytest
import small_pipeline
from pytest_diffopt import assert_no_recompiles

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep, strength=1):
        return super().forward(latents, timestep) * strength

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        return latents - self.unet(latents, timestep, {strength}) / num_inference_steps

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet, Pipeline)
    pipeline.unet.compile(backend="eager", dynamic=False)
    return pipeline

def test_never_recompiles(optimized_pipeline, pipeline_inputs):
    assert_no_recompiles(optimized_pipeline, [pipeline_inputs, pipeline_inputs | {change}])
"""


def test_a_recompile_fails_and_names_the_guard(own_pipeline: pytest.Pytester) -> None:
    """The call, the function, the old and new value, and the line that depends on it."""
    text = NO_RECOMPILES.format(strength="num_inference_steps", change='{"num_inference_steps": 4}')
    result = run(own_pipeline, text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (0 allowed)",
            "  call 2: UNet.forward  test_it.py:6",
            "    `strength` was int 3, is int 4: specialised on its value; pass a tensor",
            "    test_it.py:7  in forward",
            "      return super().forward(latents, timestep) [*] strength",
            "    torch: strength == 3",
            "seen in 2 varied calls of pipeline Pipeline (weights: the user's own)",
            'to accept this: allow_recompiles=[[]AllowedRecompiles(where="test_it.py:forward", guard="strength", '
            'reason="...")[]]',
        ],
        consecutive=True,
    )


def test_another_shape_fails_unless_the_call_is_marked_as_reshaped(own_pipeline: pytest.Pytester) -> None:
    """Another resolution may compile once; with `dynamic=True`, or if the call is not marked, it may not."""
    text = NO_RECOMPILES.format(strength="1", change='{"size": 24}')
    unmarked = run(own_pipeline, text)
    marked = text.replace(
        'assert_no_recompiles(optimized_pipeline, [pipeline_inputs, pipeline_inputs | {"size": 24}])',
        "assert_no_recompiles(optimized_pipeline, [PLAIN, PLAIN.reshaped('24 x 24', size=24)])",
    ).replace("class UNet", "PLAIN = PipelineInputs({})\n\nclass UNet")
    marked = marked.replace("import assert_no_recompiles", "import PipelineInputs, assert_no_recompiles")
    once = run(own_pipeline, marked)
    dynamic = run(own_pipeline, marked.replace("size=24)])", "size=24)], dynamic=True)"))

    unmarked.assert_outcomes(failed=1)
    unmarked.stdout.fnmatch_lines(
        [
            "  call 2: UNet.forward  test_it.py:6",
            "    `latents` was size 16 in dimension 2, is size 24 in dimension 2: specialised on its shape; "
            "compile with dynamic=True",
            "    or only where they vary, with torch 2.13 or newer: "
            'compile(dynamic_shapes={"latents": [[]None, None, "latents_2", "latents_3"]})',
            "    torch: tensor 'latents' size mismatch at index 2. expected 16, actual 24",
        ],
        consecutive=True,
    )
    once.assert_outcomes(passed=1)
    dynamic.assert_outcomes(failed=1)
    dynamic.stdout.fnmatch_lines(["  24 x 24: UNet.forward  test_it.py:8"])


SPECIFIED = """
import functools
import pytest
import torch
from pytest_diffopt import PipelineInputs, assert_no_recompiles, parse_recipe

import small_pipeline

def passes_on(forward):
    @functools.wraps(forward)
    def wrapper(self, *args, **kwargs):
        return forward(self, *args, **kwargs)
    return wrapper

class UNet(small_pipeline.SmallUNet):
    {decorator}
    def forward(self, latents, timestep, words):
        return super().forward(latents, timestep) + words.mean()

class Pipeline(small_pipeline.SmallPipeline):
    def __call__(self, prompt="", **rest):
        self.words = torch.ones(len(prompt.split()), 4)
        return super().__call__(prompt=prompt, **rest)

    def step(self, latents, timestep, num_inference_steps):
        return latents - self.unet(latents=latents, timestep=timestep, words=self.words) / num_inference_steps

@pytest.mark.parametrize("options", {options})
def test_shapes(options):
    pipeline = small_pipeline.build(UNet, Pipeline)
    parse_recipe(f'compile(target=["denoiser"]{{options}})').apply(pipeline)
    plain = PipelineInputs({{"prompt": "a red circle"}})
    larger = plain.varied("larger", prompt="a very small red circle", size=24)
    assert_no_recompiles(pipeline, [plain, larger])
"""
SPEC = '{"latents": [None, None, "latents_2", "latents_3"], "words": ["words_0", None]}'


@pytest.mark.parametrize("decorator", ["", "@passes_on"])
def test_the_printed_shapes_prevent_the_recompile(own_pipeline: pytest.Pytester, decorator: str) -> None:
    """What the failure prints, written into the recipe, makes it pass; also where a decorator passes arguments on."""
    options = ["", f", dynamic_shapes={SPEC}"]
    own_pipeline.makepyfile(test_it=SPECIFIED.format(decorator=decorator, options=options))
    result = own_pipeline.runpytest_inprocess("-v")

    result.assert_outcomes(passed=1, failed=1)
    printed = [line for line in result.outlines if "dynamic_shapes=" in line and line.startswith("    or only")]
    assert printed == [f"    or only where they vary, with torch 2.13 or newer: compile(dynamic_shapes={SPEC})"]


def test_calls_that_compile_nothing_pass(own_pipeline: pytest.Pytester) -> None:
    """Another prompt and other steps pass if what varies does not reach a guard."""
    change = '{"prompt": "a blue square", "num_inference_steps": 4}'
    result = run(own_pipeline, NO_RECOMPILES.format(strength="1", change=change))

    result.assert_outcomes(passed=1)


def test_an_int_that_changes_each_step_fails_from_the_first_variation(own_pipeline: pytest.Pytester) -> None:
    """Recompiles within the very first call are warm-up; recompiles after it are not."""
    text = NO_RECOMPILES.format(strength="self.calls", change="{}").replace(
        "class Pipeline(small_pipeline.SmallPipeline):\n",
        "class Pipeline(small_pipeline.SmallPipeline):\n    calls = 0\n",
    )
    text = text.replace(
        "        return latents - self.unet", "        self.calls += 1\n        return latents - self.unet"
    )
    result = run(own_pipeline, text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 7 recompiles (0 allowed)",
            "  warm-up: UNet.forward  test_it.py:6",
            "    `strength` was int 1, is int 2: specialised on its value; pass a tensor",
            "    test_it.py:7  in forward",
            "      return super().forward(latents, timestep) [*] strength",
            "    torch: strength == 1",
            "    and 6 more: warm-up, call 1, call 2",
            "  UNet.forward  test_it.py:6: reached Dynamo's recompile limit; it now runs uncompiled",
        ],
        consecutive=True,
    )


def test_the_same_int_at_each_step_passes(own_pipeline: pytest.Pytester) -> None:
    """A value that never changes may be compiled in."""
    result = run(own_pipeline, NO_RECOMPILES.format(strength="2", change="{}"))

    result.assert_outcomes(passed=1)


PROMPTS = """
import pytest, torch
import small_pipeline
from pytest_diffopt import assert_no_recompiles

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep, words):
        return super().forward(latents, timestep) + words.mean()

class Pipeline(small_pipeline.SmallPipeline):
    def __call__(self, prompt, **inputs):
        self.words = torch.ones({length})
        return super().__call__(prompt, **inputs)

    def step(self, latents, timestep, num_inference_steps):
        return latents - self.unet(latents, timestep, self.words) / num_inference_steps

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet, Pipeline)
    pipeline.unet.compile(backend="eager")
    return pipeline

def test_prompts(optimized_pipeline, pipeline_inputs):
    longer = pipeline_inputs | {{"prompt": "a very small red circle"}}
    assert_no_recompiles(optimized_pipeline, [pipeline_inputs, longer])
"""


def test_a_prompt_whose_length_is_compiled_in_fails(own_pipeline: pytest.Pytester) -> None:
    """Three words, then five."""
    result = run(own_pipeline, PROMPTS.format(length="len(prompt.split()), 4"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (0 allowed)",
            "  call 2: UNet.forward  test_it.py:6",
            "    `words` was size 3 in dimension 0, is size 5 in dimension 0: specialised on its shape; "
            "compile with dynamic=True",
        ],
        consecutive=True,
    )


def test_a_prompt_that_is_padded_passes(own_pipeline: pytest.Pytester) -> None:
    """As by the text encoders of diffusers."""
    result = run(own_pipeline, PROMPTS.format(length="8, 4"))

    result.assert_outcomes(passed=1)


@pytest.fixture
def _peft_imported() -> None:
    """Import peft before pytester counts imports, because that takes seconds."""
    importlib.import_module("peft.tuners.tuners_utils")


LORA = """
import pytest, torch
import small_pipeline
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from pytest_diffopt import assert_no_recompiles, lora_variations, PipelineInputs

class Pipeline(small_pipeline.SmallPipeline):
    def get_active_adapters(self):
        return ["style"]

    def set_adapters(self, name, scale):
        for layer in self.unet.modules():
            if isinstance(layer, BaseTunerLayer):
                layer.scaling[name] = {scale}

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(pipeline=Pipeline)
    config = LoraConfig(r=2, target_modules=["time"], init_lora_weights=False)
    inject_adapter_in_model(config, pipeline.unet, adapter_name="style")
    pipeline.set_adapters("style", 1.0)
    pipeline.unet.compile(backend="eager", dynamic=False)
    return pipeline

def test_lora(optimized_pipeline):
    assert_no_recompiles(optimized_pipeline, lora_variations(PipelineInputs({{}}), "style"))
"""


@pytest.mark.usefixtures("_peft_imported")
def test_a_lora_scale_that_is_a_float_fails(own_pipeline: pytest.Pytester) -> None:
    """The reported line is in peft."""
    result = run(own_pipeline, LORA.format(scale="scale"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (0 allowed)",
            "  LoRA scale 0.5: SmallUNet.forward  small_pipeline.py:*",
            "    `self.time.scaling[[]'style'[]]` was float 1.0, is float 0.5: specialised on its value; pass a tensor",
            "    peft/tuners/lora/layer.py:*  in forward",
            "      *scaling*",
            "    torch: self.time.scaling[[]'style'[]] == 1.0",
        ],
        consecutive=True,
    )


@pytest.mark.usefixtures("_peft_imported")
def test_a_lora_scale_that_is_a_tensor_passes(own_pipeline: pytest.Pytester) -> None:
    """It is an input of the graph."""
    result = run(own_pipeline, LORA.format(scale="torch.tensor(scale)"))

    result.assert_outcomes(passed=1)


LOADED = """
import pytest, torch
import small_pipeline
from diffusers.loaders import PeftAdapterMixin
from diffusers.loaders.lora_base import LoraBaseMixin
from pytest_diffopt import PipelineInputs, assert_no_recompiles, lora_disabled, lora_loaded, lora_scaled

class UNet(small_pipeline.SmallUNet, PeftAdapterMixin):
    pass

class Pipeline(small_pipeline.SmallPipeline, LoraBaseMixin):
    _lora_loadable_modules = ["unet"]

    def load_lora_weights(self, weights, adapter_name, hotswap=False):
        self.unet.load_lora_adapter(weights, prefix=None, adapter_name=adapter_name, hotswap=hotswap)

def lora(value):
    return {{"time.lora_A.weight": torch.full((2, 1), value), "time.lora_B.weight": torch.full((16, 2), value)}}

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(unet=UNet, pipeline=Pipeline)
    pipeline.enable_lora_hotswap(target_rank=2)
    pipeline.load_lora_weights(lora(0.1), "style")
    pipeline.unet.compile(backend="eager", dynamic=False)
    return pipeline

def test_lora(optimized_pipeline):
    plain = PipelineInputs({{}})
    assert_no_recompiles(optimized_pipeline, [plain, plain.within("another LoRA", {change}), plain])
"""


@pytest.mark.usefixtures("_peft_imported")
@pytest.mark.parametrize(
    "change", ["lora_loaded(lora(0.5))", "lora_disabled()"], ids=["load and unload", "disable and enable"]
)
def test_another_lora_recompiles(own_pipeline: pytest.Pytester, change: str) -> None:
    """Its layers are others, or other branches of peft run."""
    result = run(own_pipeline, LOADED.format(change=change))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: 1 recompile (0 allowed)", "  another LoRA: SmallUNet.forward  small_pipeline.py:*"], consecutive=True
    )


@pytest.mark.usefixtures("_peft_imported")
def test_a_lora_that_is_swapped_in_place_passes(own_pipeline: pytest.Pytester) -> None:
    """As diffusers documents it: `enable_lora_hotswap` before the first LoRA, then `hotswap=True`."""
    result = run(own_pipeline, LOADED.format(change='lora_loaded(lora(0.5), adapter="style", hotswap=True)'))

    result.assert_outcomes(passed=1)


EDITS = """
import pytest, torch
import small_pipeline
from pytest_diffopt import PipelineInputs, assert_no_recompiles, shape_variations

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep, tokens, count):
        return super().forward(latents, timestep) + tokens.mean() / count

class Pipeline(small_pipeline.SmallPipeline):
    def __call__(self, image, **inputs):
        self.image = image
        return super().__call__(**inputs)

    def step(self, latents, timestep, num_inference_steps):
        tokens = torch.ones(16 * len(self.image))
        return latents - self.unet(latents, timestep, tokens, {count}) / num_inference_steps

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet, Pipeline)
    pipeline.unet.compile(backend="eager", dynamic=False)
    return pipeline

def test_edit_images(optimized_pipeline):
    assert_no_recompiles(optimized_pipeline, shape_variations(PipelineInputs({{"image": ["a cat"]}})))
"""


def test_the_number_of_edit_images_as_a_value_fails(own_pipeline: pytest.Pytester) -> None:
    """More tokens may compile once more, but not the number of images."""
    result = run(own_pipeline, EDITS.format(count="len(self.image)"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (0 allowed)",
            "  2 edit images: UNet.forward  test_it.py:*",
            "    `count` was * 1, is *",
        ],
        consecutive=True,
    )


def test_one_more_edit_image_may_compile_for_its_shape(own_pipeline: pytest.Pytester) -> None:
    """Its tokens have another shape; their number is in a tensor."""
    run(own_pipeline, EDITS.format(count="torch.tensor(len(self.image))")).assert_outcomes(passed=1)


RESETS = """
import torch
from pytest_diffopt import assert_no_recompiles

class Denoiser(torch.nn.Module):
    def forward(self, x):
        return x * 2

class Pipeline:
    def __init__(self):
        self.components = {{"denoiser": Denoiser()}}
        self.components["denoiser"].compile(backend="eager")
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        {line}
        return self.components["denoiser"](x)

def test_recompiles():
    assert_no_recompiles(Pipeline(), [{{"x": torch.ones(2)}}, {{"x": torch.zeros(2)}}])
"""


def test_a_reset_between_calls_is_named(project: pytest.Pytester) -> None:
    """The function was compiled at warm-up and no guard failed: its code was discarded."""
    project.makepyfile(test_it=RESETS.format(line="if self.calls == 3: torch.compiler.reset()"))
    result = project.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (0 allowed)",
            "  call 2: Denoiser.forward  test_it.py:5",
            "    compiled again: torch._dynamo.reset() or torch.compiler.reset() had discarded its code since warm-up",
            "seen in 2 varied calls of pipeline Pipeline (weights: the user's own)",
            "remove the reset: it discards the compiled code of the whole process",
        ],
        consecutive=True,
    )


def test_a_reset_before_warm_up_is_no_recompile(project: pytest.Pytester) -> None:
    """The clean counterpart: everything after warm-up finds its code."""
    project.makepyfile(test_it=RESETS.format(line="if self.calls == 1: torch.compiler.reset()"))
    result = project.runpytest_inprocess("--tb=short")

    result.assert_outcomes(passed=1)
