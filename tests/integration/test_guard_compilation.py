"""Graph breaks and recompiles are seen where they really happen, and told with the user's own line."""

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
                "Failed to trace builtin operator",
                "hint: Avoid calling builtin `print` with argument types [[]'str'[]].*",
                "hint: *",
                "hint: Please report an issue to PyTorch.",
            ],
        ),
        (
            "latents = latents * latents.mean().item()",
            [
                "latents = latents * latents.mean().item()",
                "Unsupported Tensor.item() call with capture_scalar_outputs=False",
                "hint: Set `torch._dynamo.config.capture_scalar_outputs = True` *",
            ],
        ),
        (
            "latents = latents if latents.sum() > 0 else latents + 1",
            [
                "latents = latents if latents.sum() > 0 else latents + 1",
                "the code branches on a tensor's value",
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
            "if this is wanted: max_graph_breaks=1",
        ],
        consecutive=True,
    )


def test_one_graph_is_green(own_pipeline: pytest.Pytester) -> None:
    """A forward that Dynamo can trace in one piece passes."""
    result = run(own_pipeline, NO_BREAKS.format(line="latents = latents * 1.0", options=EAGER))

    result.assert_outcomes(passed=1)


def test_accepted_breaks_are_green(own_pipeline: pytest.Pytester) -> None:
    """As many breaks as the test allows pass; the allowance is printed beside the figure."""
    text = NO_BREAKS.format(line='print("drawing")', options=EAGER)
    result = run(own_pipeline, text.replace("**pipeline_inputs", "max_graph_breaks=1, **pipeline_inputs"))

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("allowance", ["", "max_graph_breaks=9, "])
def test_fullgraph_that_breaks_is_a_red_verdict(own_pipeline: pytest.Pytester, allowance: str) -> None:
    """The error that torch raises is told as the break that it is, and no allowance accepts a call that failed."""
    text = NO_BREAKS.format(line='print("drawing")', options=EAGER + ", fullgraph=True")
    result = run(own_pipeline, text.replace("**pipeline_inputs", allowance + "**pipeline_inputs"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (up to 0 allowed)",
            "  test_it.py:7  in forward",
            '    print("drawing")',
            "    Failed to trace builtin operator",
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
            "    Failed to trace builtin operator",
            "    hint: *",
            "    hint: *",
            "    hint: *",
            (
                "seen while compiling pipeline sdxl (tiny, weights: pretrained), "
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


@pytest.mark.parametrize(
    ("strength", "change", "reason"),
    [
        ("num_inference_steps", '{"num_inference_steps": 4}', "0/0: strength == 3*"),
        ("1", '{"size": 24}', "0/0: tensor 'latents' size mismatch at index 2. expected 16, actual 24"),
    ],
    ids=["int", "shape"],
)
def test_a_recompile_is_red_and_names_the_guard(
    own_pipeline: pytest.Pytester, strength: str, change: str, reason: str
) -> None:
    """The call that recompiled, the function, and the guard that failed."""
    result = run(own_pipeline, NO_RECOMPILES.format(strength=strength, change=change))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 recompile after warm-up (up to 0 allowed)",
            "  call 2: forward  test_it.py:6",
            f"    {reason}",
            "seen in 2 varied calls of pipeline Pipeline (weights: the user's own)",
            "mark what varies as dynamic, pass it as a tensor, or if this is wanted: max_recompiles=1",
        ],
        consecutive=True,
    )


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
            "diffopt: * recompiles after warm-up (up to 0 allowed)",
            "  call 1: forward  test_it.py:6",
            "    0/*: strength == *",
        ]
    )
