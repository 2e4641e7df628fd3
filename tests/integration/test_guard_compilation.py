"""Graph breaks and recompiles are seen where they really happen, and told with the user's own line."""

import importlib

import pytest

NO_BREAKS = """
import pytest
import small_pipeline
from pytest_diffopt import assert_no_graph_breaks

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        {line}
        return super().forward(latents, timestep)

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet)
    pipeline.unet.compile({options})
    return pipeline

def test_one_graph(optimized_pipeline, pipeline_inputs):
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
"""
EAGER = 'backend="eager"'


def run(project: pytest.Pytester, text: str) -> pytest.RunResult:
    """Run one test file, and show of each failure what a person would read."""
    project.makepyfile(test_it=text)
    return project.runpytest_inprocess("--tb=short")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            'print("drawing")',
            [
                'print("drawing")',
                "Failed to trace builtin operator  (GB0059)",
                "hint: Avoid calling builtin `print` with argument types [[]'str'[]].*",
                "hint: *",
                "hint: Please report an issue to PyTorch.",
            ],
        ),
        (
            "latents = latents * latents.mean().item()",
            [
                "latents = latents * latents.mean().item()",
                "Unsupported Tensor.item() call with capture_scalar_outputs=False  (GB0124)",
                "hint: Set `torch._dynamo.config.capture_scalar_outputs = True` *",
            ],
        ),
        (
            "latents = latents if latents.sum() > 0 else latents + 1",
            [
                "latents = latents if latents.sum() > 0 else latents + 1",
                "Data-dependent branching  (GB0170)",
                "hint: *",
                "hint: *",
                "hint: *",
            ],
        ),
    ],
    ids=["print", "item", "branch"],
)
def test_a_graph_break_is_red_and_names_the_line(own_pipeline: pytest.Pytester, line: str, told: list[str]) -> None:
    """The user's line, its text, Dynamo's reason and advice, and what to write when it is wanted."""
    result = run(own_pipeline, NO_BREAKS.format(line=line, options=EAGER))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (up to 0 allowed)",
            "  test_it.py:7  in forward",
            *(f"    {text}" for text in told),
            "seen while compiling pipeline SmallPipeline (weights: the user's own), * frames compiled",
            'if this is wanted: allow_graph_breaks=[[]AllowedGraphBreaks(where="test_it.py:forward", break_reason="*',
        ],
        consecutive=True,
    )


def test_one_graph_is_green(own_pipeline: pytest.Pytester) -> None:
    """A forward that Dynamo can trace in one piece passes."""
    result = run(own_pipeline, NO_BREAKS.format(line="latents = latents * 1.0", options=EAGER))

    result.assert_outcomes(passed=1)


def allowing(text: str) -> str:
    """Let the test accept a print in `forward`."""
    allowance = 'AllowedGraphBreaks(where="test_it.py:forward", break_reason="GB0059", reason="tells the progress")'
    text = text.replace("import assert_no_graph_breaks", "import AllowedGraphBreaks, assert_no_graph_breaks")
    return text.replace("**pipeline_inputs", f"allow_graph_breaks=[{allowance}], **pipeline_inputs")


def test_an_accepted_break_is_green_and_another_one_is_red(own_pipeline: pytest.Pytester) -> None:
    """The allowance is for this function and this reason; nothing else passes under it."""
    accepted = run(own_pipeline, allowing(NO_BREAKS.format(line='print("drawing")', options=EAGER)))
    line = 'print("drawing"); latents = latents * latents.mean().item()'
    another = run(own_pipeline, allowing(NO_BREAKS.format(line=line.replace("; ", "\n        "), options=EAGER)))

    accepted.assert_outcomes(passed=1)
    another.assert_outcomes(failed=1)
    another.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (up to 0 allowed)",
            "  test_it.py:8  in forward",
            "    latents = latents * latents.mean().item()",
        ],
        consecutive=True,
    )


def test_an_allowance_that_nothing_needs_any_more_is_red(own_pipeline: pytest.Pytester) -> None:
    """It would hide the break when it comes back."""
    result = run(own_pipeline, allowing(NO_BREAKS.format(line="pass", options=EAGER)))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 allowance for graph breaks no longer needed",
            "  test_it.py:forward (GB0059): 0 times (up to 1 allowed), because: tells the progress",
            "seen while compiling *",
            "take it out of allow_graph_breaks, or lower it, so that the break cannot come back unseen",
        ],
        consecutive=True,
    )


def test_a_read_that_fullgraph_captures_is_red(own_pipeline: pytest.Pytester) -> None:
    """Torch keeps `.item()` in the graph there, and the CPU waits for the GPU all the same."""
    line = "latents = latents * latents.mean().item()"
    result = run(own_pipeline, NO_BREAKS.format(line=line, options=EAGER + ", fullgraph=True"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (up to 0 allowed)",
            "  test_it.py:7  in forward",
            f"    {line}",
            "    the graph holds .item()",
            "    fullgraph=True lets the graph hold it, and the CPU waits for the GPU all the same",
            "seen while compiling pipeline SmallPipeline (weights: the user's own), 1 frame compiled",
            'if this is wanted: allow_graph_breaks=[[]AllowedGraphBreaks(where="test_it.py:forward", '
            'break_reason="the graph holds .item()", reason="...")[]]',
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("is_allowed", [False, True])
def test_fullgraph_that_breaks_is_a_red_verdict(own_pipeline: pytest.Pytester, *, is_allowed: bool) -> None:
    """The error that torch raises is told as the break that it is, and no allowance accepts a call that failed."""
    text = NO_BREAKS.format(line='print("drawing")', options=EAGER + ", fullgraph=True")
    result = run(own_pipeline, allowing(text) if is_allowed else text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (up to 0 allowed)",
            "  test_it.py:7  in forward",
            '    print("drawing")',
            "    Failed to trace builtin operator  (GB0059)",
            "    hint: *",
            "    hint: *",
            "    hint: *",
            "seen while compiling pipeline SmallPipeline (weights: the user's own), 0 frames compiled",
            "fullgraph=True makes it an error: mend the line, or compile without fullgraph to count the breaks",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*torch/_dynamo*")


def test_torchs_own_traceback_of_a_break_comes_with_v(own_pipeline: pytest.Pytester) -> None:
    """Below what a person needs."""
    own_pipeline.makepyfile(test_it=NO_BREAKS.format(line='print("drawing")', options=EAGER + ", fullgraph=True"))
    result = own_pipeline.runpytest_inprocess("-v")

    result.stdout.fnmatch_lines(
        [
            "fullgraph=True makes it an error: *",
            "torch's own traceback:",
            "Traceback (most recent call last):",
            "*torch/_dynamo/*",
        ]
    )


def test_fullgraph_that_breaks_in_warm_up_is_a_fixture_error(project: pytest.Pytester) -> None:
    """A named pipeline that cannot be compiled in full says why, without torch's traceback."""
    project.makepyfile(
        test_it="""
import pytest
from diffusers import UNet2DConditionModel
from pytest_diffopt import assert_optimizations_applied

@pytest.fixture(scope="session", autouse=True)
def broken_unet():
    original = UNet2DConditionModel.forward
    def forward(self, sample, *args, **kwargs):
        print("drawing")
        return original(self, sample, *args, **kwargs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UNet2DConditionModel, "forward", forward)
        yield

@pytest.mark.diffopt(pipeline="sdxl", recipe="compile(target=['denoiser'], fullgraph=True, backend='eager')")
def test_applied(optimized_pipeline):
    assert_optimizations_applied(optimized_pipeline)
"""
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (up to 0 allowed)",
            "  test_it.py:9  in forward",
            '    print("drawing")',
            "    Failed to trace builtin operator  (GB0059)",
            "    hint: *",
            "    hint: *",
            "    hint: *",
            (
                "seen while compiling pipeline sdxl (tiny, weights: *), "
                'recipe compile(target=[[]"denoiser"[]], fullgraph=True, backend="eager"), 0 frames compiled'
            ),
            "fullgraph=True makes it an error: mend the line, or compile without fullgraph to count the breaks",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*torch/_dynamo*")
    result.stdout.no_fnmatch_line("*During handling*")


@pytest.mark.parametrize(
    "assertion",
    [
        "assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)",
        "assert_no_recompiles(optimized_pipeline, [pipeline_inputs])",
    ],
)
def test_nothing_compiled_is_red(own_pipeline: pytest.Pytester, assertion: str) -> None:
    """A pipeline in which nothing is compiled has no breaks to count, and that is never green."""
    result = run(
        own_pipeline,
        f"""
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

def test_it(optimized_pipeline, pipeline_inputs):
    {assertion}
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: nothing was compiled, so nothing was checked",
            "  watched since its first assertion, or since the optimized_pipeline fixture began to build it",
            "seen in pipeline SmallPipeline (weights: the user's own)",
            "add compile to the recipe, or take this assertion out of the test",
        ],
        consecutive=True,
    )


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


def test_a_recompile_is_red_and_names_the_guard(own_pipeline: pytest.Pytester) -> None:
    """The call that recompiled, the function, what it was and is, and the line that needed to know."""
    text = NO_RECOMPILES.format(strength="num_inference_steps", change='{"num_inference_steps": 4}')
    result = run(own_pipeline, text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (up to 0 allowed)",
            "  call 2: UNet.forward  test_it.py:6",
            "    `strength` was int 3, is int 4: specialised on its value; pass a tensor",
            "    test_it.py:7  in forward",
            "      return super().forward(latents, timestep) [*] strength",
            "    torch: strength == 3",
            "seen in 2 varied calls of pipeline Pipeline (weights: the user's own)",
            'if this is wanted: allow_recompiles=[[]AllowedRecompiles(where="test_it.py:forward", guard="strength", '
            'reason="...")[]]',
        ],
        consecutive=True,
    )


def test_another_shape_is_red_unless_the_call_says_so(own_pipeline: pytest.Pytester) -> None:
    """Another resolution may compile once; with `dynamic=True` never, and a call that keeps quiet about it never."""
    text = NO_RECOMPILES.format(strength="1", change='{"size": 24}')
    quiet = run(own_pipeline, text)
    told = text.replace(
        'assert_no_recompiles(optimized_pipeline, [pipeline_inputs, pipeline_inputs | {"size": 24}])',
        "assert_no_recompiles(optimized_pipeline, [PLAIN, PLAIN.reshaped('24 x 24', size=24)])",
    ).replace("class UNet", "PLAIN = PipelineInputs({})\n\nclass UNet")
    told = told.replace("import assert_no_recompiles", "import PipelineInputs, assert_no_recompiles")
    once = run(own_pipeline, told)
    dynamic = run(own_pipeline, told.replace("size=24)])", "size=24)], dynamic=True)"))

    quiet.assert_outcomes(failed=1)
    quiet.stdout.fnmatch_lines(
        [
            "  call 2: UNet.forward  test_it.py:6",
            "    `latents` was size 16 in dimension 2, is size 24 in dimension 2: specialised on its shape; "
            "compile with dynamic=True",
            "    torch: tensor 'latents' size mismatch at index 2. expected 16, actual 24",
        ],
        consecutive=True,
    )
    once.assert_outcomes(passed=1)
    dynamic.assert_outcomes(failed=1)
    dynamic.stdout.fnmatch_lines(["  24 x 24: UNet.forward  test_it.py:8"])


def test_calls_that_compile_nothing_anew_are_green(own_pipeline: pytest.Pytester) -> None:
    """Another prompt and other steps pass when what varies does not reach a guard."""
    change = '{"prompt": "a blue square", "num_inference_steps": 4}'
    result = run(own_pipeline, NO_RECOMPILES.format(strength="1", change=change))

    result.assert_outcomes(passed=1)


def test_an_int_that_changes_each_step_is_red_from_the_first_variation(own_pipeline: pytest.Pytester) -> None:
    """What recompiles within the very first call is warm-up; what goes on recompiling afterwards is not."""
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
            "diffopt: 7 recompiles (up to 0 allowed)",
            "  warm-up: UNet.forward  test_it.py:6",
            "    `strength` was int 1, is int 2: specialised on its value; pass a tensor",
            "    test_it.py:7  in forward",
            "      return super().forward(latents, timestep) [*] strength",
            "    torch: strength == 1",
            "    and 6 times more: warm-up, call 1, call 2",
            "  UNet.forward  test_it.py:6: compiled so often that Dynamo gave it up; it runs uncompiled",
        ],
        consecutive=True,
    )


def test_the_same_int_at_each_step_is_green(own_pipeline: pytest.Pytester) -> None:
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


def test_a_prompt_whose_length_is_compiled_in_is_red(own_pipeline: pytest.Pytester) -> None:
    """Three words, then five."""
    result = run(own_pipeline, PROMPTS.format(length="len(prompt.split()), 4"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (up to 0 allowed)",
            "  call 2: UNet.forward  test_it.py:6",
            "    `words` was size 3 in dimension 0, is size 5 in dimension 0: specialised on its shape; "
            "compile with dynamic=True",
        ],
        consecutive=True,
    )


def test_a_prompt_that_is_padded_is_green(own_pipeline: pytest.Pytester) -> None:
    """As the text encoders of diffusers do."""
    result = run(own_pipeline, PROMPTS.format(length="8, 4"))

    result.assert_outcomes(passed=1)


@pytest.fixture
def _peft_imported() -> None:
    """Import it before pytester counts what was imported: it takes seconds."""
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
def test_a_lora_scale_that_is_a_float_is_red(own_pipeline: pytest.Pytester) -> None:
    """The line is peft's own."""
    result = run(own_pipeline, LORA.format(scale="scale"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile (up to 0 allowed)",
            "  LoRA scale 0.5: SmallUNet.forward  small_pipeline.py:*",
            "    `self.time.scaling[[]'style'[]]` was float 1.0, is float 0.5: specialised on its value; pass a tensor",
            "    peft/tuners/lora/layer.py:*  in forward",
            "      *scaling*",
            "    torch: self.time.scaling[[]'style'[]] == 1.0",
        ],
        consecutive=True,
    )


@pytest.mark.usefixtures("_peft_imported")
def test_a_lora_scale_that_is_a_tensor_is_green(own_pipeline: pytest.Pytester) -> None:
    """It is an input of the graph then."""
    result = run(own_pipeline, LORA.format(scale="torch.tensor(scale)"))

    result.assert_outcomes(passed=1)


BLOCKS = """
import pytest, torch
import small_pipeline
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

class Processor:
    def __call__(self, block, x):
        return block.linear(x)

class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(16, 16)
        self.processor = Processor()

    def forward(self, x):
        return self.processor(self, x){id_guard}

class UNet(small_pipeline.SmallUNet):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.Sequential(*(Block() for _ in range(9)))

    def forward(self, latents, timestep):
        return self.blocks(super().forward(latents, timestep))

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet)
    for block in pipeline.unet.blocks:
        block.compile(backend="eager")
    return pipeline

def test_recompiles(optimized_pipeline, pipeline_inputs):
    assert_no_recompiles(optimized_pipeline, [pipeline_inputs])

def test_graph(optimized_pipeline, pipeline_inputs):
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
"""


def test_processors_that_are_guarded_by_their_id_are_red_under_regional_compilation(
    own_pipeline: pytest.Pytester,
) -> None:
    """Each of nine blocks is compiled for itself, until Dynamo gives up."""
    own_pipeline.makepyfile(test_it=BLOCKS.format(id_guard=" * (1 if id(self.processor) else 2)"))
    result = own_pipeline.runpytest_inprocess("-k", "recompiles")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 7 recompiles (up to 0 allowed)",
            "  warm-up: Block.forward  test_it.py:15",
            "    `self.processor` is another Processor than before: specialised on the very object; share one, or ask "
            "forward for what it does, not for what it is",
            "    test_it.py:16  in forward",
            "      return self.processor(self, x) [*] (1 if id(self.processor) else 2)",
            "    torch: ___check_obj_id(self.processor), type=<class 'test_it.Processor'>",
            "    and 6 times more: warm-up",
            "  Block.forward  test_it.py:15: compiled so often that Dynamo gave it up; it runs uncompiled",
        ],
        consecutive=True,
    )


def test_a_function_that_is_compiled_too_often_is_no_single_graph(own_pipeline: pytest.Pytester) -> None:
    """It runs uncompiled from then on."""
    own_pipeline.makepyfile(test_it=BLOCKS.format(id_guard=" * (1 if id(self.processor) else 2)"))
    result = own_pipeline.runpytest_inprocess("-k", "graph")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 function compiled too often",
            "  Block.forward  test_it.py:15: compiled so often that Dynamo gave it up; it runs uncompiled",
        ],
        consecutive=True,
    )


def test_regional_compilation_shows_as_n_blocks_and_one_compile(own_pipeline: pytest.Pytester) -> None:
    """In the table that `-v` prints."""
    own_pipeline.makepyfile(test_it=BLOCKS.format(id_guard=""))
    result = own_pipeline.runpytest_inprocess("-v", "-k", "graph")

    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["passed  graph breaks *  0 graph breaks in 1 compiled frame; unet Block: 9 blocks, 1 compile"]
    )


SWAPPED = """
import pytest
import small_pipeline
from pytest_diffopt import assert_no_recompiles

class Pipeline(small_pipeline.SmallPipeline):
    def __call__(self, prompt, **inputs):
        if prompt == "swap":
            self.unet = small_pipeline.SmallUNet()
            {compile}
        return super().__call__(prompt, **inputs)

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(pipeline=Pipeline)
    pipeline.unet.compile(backend="eager")
    return pipeline

def test_swap(optimized_pipeline, pipeline_inputs):
    assert_no_recompiles(optimized_pipeline, [pipeline_inputs, pipeline_inputs | {{"prompt": "swap"}}])
"""


def test_a_module_that_is_swapped_after_warm_up_is_red(own_pipeline: pytest.Pytester) -> None:
    """Nothing recompiles: what takes its place was never compiled."""
    result = run(own_pipeline, SWAPPED.format(compile=""))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 compiled module lost",
            "  unet was compiled at warm-up, and what is there now is not",
            "seen in 2 varied calls of pipeline Pipeline (weights: the user's own)",
            "compile what takes its place, before the first call",
        ],
        consecutive=True,
    )


def test_a_compiled_module_in_its_place_is_green(own_pipeline: pytest.Pytester) -> None:
    """The same code serves both."""
    result = run(own_pipeline, SWAPPED.format(compile='self.unet.compile(backend="eager")'))

    result.assert_outcomes(passed=1)


LATENTS = """
class Latents(small_pipeline.SmallPipeline):
    def __call__(self, prompt, **inputs):
        self.step(torch.zeros(1, 4, 16, 16), torch.ones(()), 1)

"""
UNUSED = """
import pytest, torch
import small_pipeline
from pytest_diffopt import assert_no_graph_breaks

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build()
    pipeline.unet.compile(backend="eager")
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")
    {instead}
    return pipeline

def test_graph(optimized_pipeline, pipeline_inputs):
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
"""


def test_a_vae_that_is_compiled_and_never_called_is_red(own_pipeline: pytest.Pytester) -> None:
    """Its compiled method is there; the pipeline calls another one."""
    text = UNUSED.format(instead="pipeline.__class__ = Latents")
    text = text.replace("@pytest.fixture", LATENTS + "@pytest.fixture", 1)
    result = run(own_pipeline, text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 module compiled and never called",
            "  vae.decode  (SmallVAE.decode)",
            "seen while compiling pipeline Latents (weights: the user's own), 1 frame compiled",
            "let the call reach it, or compile it no more",
        ],
        consecutive=True,
    )


def test_a_vae_that_is_compiled_and_called_is_green(own_pipeline: pytest.Pytester) -> None:
    """Both are seen compiling."""
    result = run(own_pipeline, UNUSED.format(instead=""))

    result.assert_outcomes(passed=1)


def test_a_process_that_compiles_nothing_is_an_error(
    own_pipeline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every assertion about compilation would be green."""
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    result = run(own_pipeline, NO_BREAKS.format(line="pass", options=EAGER))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: torch.compile is switched off: TORCH_COMPILE_DISABLE=1 is set; nothing would be checked",
            "  take it out of the environment",
        ],
        consecutive=True,
    )


def test_a_backend_that_does_not_exist_is_an_error_with_the_nearest(own_pipeline: pytest.Pytester) -> None:
    """Also where the user's own fixture names it."""
    result = run(own_pipeline, NO_BREAKS.format(line="pass", options='backend="inductr"'))

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["diffopt: unknown backend of torch.compile: 'inductr' (did you mean 'inductor'?); known: *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_no_compiler_for_inductor_is_an_error_that_names_the_package(
    own_pipeline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's own text says only that it found none."""
    from torch._inductor import config  # noqa: PLC0415 - only this test waits for Inductor

    monkeypatch.setattr(config.cpp, "cxx", (None, "/nowhere/g++"))
    result = run(own_pipeline, NO_BREAKS.format(line="pass", options=""))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: Inductor needs a C++ compiler to compile for the CPU, and finds none that works"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
