"""A failed compilation is reported in a few lines: a break under `fullgraph`, no backend, no compiler."""

import pytest

from tests.integration.compiled_projects import EAGER, NO_BREAKS, allowing, run


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_break_under_fullgraph_fails(own_pipeline: pytest.Pytester, *, is_allowed: bool) -> None:
    """Torch's error is reported as a graph break, and no allowance accepts a call that failed."""
    text = NO_BREAKS.format(line='print("drawing")', options=EAGER + ", fullgraph=True")
    result = run(own_pipeline, allowing(text) if is_allowed else text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (0 allowed)",
            "  test_it.py:7  in forward",
            '    print("drawing")',
            "    Failed to trace builtin operator  (GB0059)",
            "    hint: *",
            "    hint: *",
            "    hint: *",
            "seen while compiling pipeline SmallPipeline (weights: the user's own), 0 frames compiled",
            "fullgraph=True makes it an error: fix the line, or compile without fullgraph to count the breaks",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*torch/_dynamo*")


def test_torchs_own_traceback_of_a_break_comes_with_v(own_pipeline: pytest.Pytester) -> None:
    """After diffopt's own lines."""
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


def test_a_break_under_fullgraph_in_warm_up_is_a_fixture_error(project: pytest.Pytester) -> None:
    """A named pipeline that cannot be compiled in full is reported without torch's traceback."""
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
            "diffopt: 1 graph break (0 allowed)",
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
            "fullgraph=True makes it an error: fix the line, or compile without fullgraph to count the breaks",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*torch/_dynamo*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_a_process_that_compiles_nothing_is_an_error(
    own_pipeline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every assertion about compilation would pass."""
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    result = run(own_pipeline, NO_BREAKS.format(line="pass", options=EAGER))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: torch.compile is disabled: TORCH_COMPILE_DISABLE=1 is set; nothing would be checked",
            "  remove this setting",
        ],
        consecutive=True,
    )


def test_a_backend_that_does_not_exist_is_an_error_with_the_nearest(own_pipeline: pytest.Pytester) -> None:
    """Also where the user's own fixture names it."""
    result = run(own_pipeline, NO_BREAKS.format(line="pass", options='backend="inductr"'))

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["diffopt: unknown torch.compile backend: 'inductr' (did you mean 'inductor'?); known: *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_no_compiler_for_inductor_is_an_error_that_names_the_package(own_pipeline: pytest.Pytester) -> None:
    """Torch's own text only reports that it found none."""
    from torch._inductor import config  # noqa: PLC0415 - seconds, for this test alone

    with config.patch({"cpp.cxx": (None, "/nowhere/g++")}):
        result = run(own_pipeline, NO_BREAKS.format(line="pass", options=""))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: Inductor needs a C++ compiler to compile for the CPU, but found none that works"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


NORM = """
import pytest
import small_pipeline
import torch
from pytest_diffopt import assert_no_graph_breaks, assert_repeatable

class UNet(small_pipeline.SmallUNet):
    # An attention's result is (batch, pixels, channels); its norm, as in many UNets and decoders, is that of an image.
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.GroupNorm(2, 4)
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, latents, timestep):
        pixels = self.linear(latents.flatten(2).transpose(-1, -2))
        return super().forward(self.norm(pixels.transpose(-1, -2).reshape(latents.shape)), timestep)

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet)
    pipeline.unet.compile(backend="{backend}")
    return pipeline

def test_it(optimized_pipeline, pipeline_inputs):
    {call}(optimized_pipeline, **pipeline_inputs)
"""

every_call = pytest.mark.parametrize("call", ["assert_no_graph_breaks", "assert_repeatable"])


@every_call
def test_a_backend_that_refuses_the_layout_of_a_norm_is_an_error_with_the_one_to_use(
    own_pipeline: pytest.Pytester, call: str
) -> None:
    """Torch's own text names neither the backend nor the reason."""
    result = run(own_pipeline, NORM.format(backend="aot_eager", call=call))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            'diffopt: with backend="aot_eager" torch * cannot run a group norm of a transposed batch of 1',
            '  compile with backend="aot_eager_decomp_partition", which decomposes it as Inductor does',
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@every_call
def test_the_backend_that_decomposes_the_norm_passes(own_pipeline: pytest.Pytester, call: str) -> None:
    """The same pipeline compiles."""
    run(own_pipeline, NORM.format(backend="aot_eager_decomp_partition", call=call)).assert_outcomes(passed=1)
