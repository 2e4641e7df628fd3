"""Compiled modules are compared with eager ones, each separately and output by output."""

import pytest

NUMERICS = """
import pytest, torch
import small_pipeline
from pytest_diffopt import assert_compiled_matches_eager

def backend(graph, inputs):
    def run(*args):
        first, *others = graph(*args)
        return (first {error}, *others)
    return run

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build()
    pipeline.unet.compile(backend=backend)
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")
    return pipeline

def test_numbers(optimized_pipeline, pipeline_inputs):
    assert_compiled_matches_eager(optimized_pipeline, {tolerance}**pipeline_inputs)
"""


def run(project: pytest.Pytester, error: str, tolerance: str = "") -> pytest.RunResult:
    """Run the test with a backend that adds an error."""
    project.makepyfile(test_it=NUMERICS.format(error=error, tolerance=tolerance))
    return project.runpytest_inprocess("--tb=short")


def test_only_the_wrong_module_is_named(own_pipeline: pytest.Pytester) -> None:
    """With its error, absolute and relative to the largest value, and the tolerance."""
    result = run(own_pipeline, "+ 0.01")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 output of compiled modules differs from eager",
            "  unet  float32, 3072 of 3072 values out of tolerance, largest error 0.01, * x the largest value "
            "(1e-05 + 1.3e-06 x the largest value allowed)",
            "seen against eager on the same inputs, pipeline SmallPipeline (weights: the user's own)",
            "to accept this: rtol=..., atol=...",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(("error", "tolerance"), [("", ""), ("+ 0.01", "rtol=0.0, atol=0.02, ")])
def test_equal_or_tolerated_numbers_pass(own_pipeline: pytest.Pytester, error: str, tolerance: str) -> None:
    """Within the dtype's rounding, or within the tolerance of the test."""
    result = run(own_pipeline, error, tolerance)

    result.assert_outcomes(passed=1)


def test_one_tolerance_without_the_other_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """The default of the other one would be a surprise."""
    result = run(own_pipeline, "", "rtol=0.1, ")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: rtol and atol belong together: give both or none, got: rtol=0.1, atol=None"])


def test_nothing_compiled_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """There is nothing to compare."""
    own_pipeline.makepyfile(
        test_it="""
from pytest_diffopt import assert_compiled_matches_eager

def test_numbers(optimized_pipeline, pipeline_inputs):
    assert_compiled_matches_eager(optimized_pipeline, **pipeline_inputs)
"""
    )
    result = own_pipeline.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: no compiled module to compare with eager mode: nothing is compiled in pipeline SmallPipeline *"]
    )


BOUND = """
import pytest, torch
from pytest_diffopt import assert_compiled_matches_eager

def backend(graph, inputs):
    return lambda *args: tuple(one {error} for one in graph(*args))

def halved(x):
    return x / 2

class Denoiser(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.halve = torch.compile(halved, backend=backend)

    def forward(self, x):
        return self.halve(x) * 3

    @torch.compile(backend=backend)
    def decode(self, x):
        return x - 1

x = torch.linspace(1, 2, 8)

def test_forward():
    model = torch.nn.Sequential(torch.nn.ReLU(), Denoiser())
    model[1].forward = torch.compile(model[1].forward, backend=backend)
    assert_compiled_matches_eager(lambda_of(model), x)

def test_methods():
    assert_compiled_matches_eager(lambda_of(Denoiser()), x)

def test_function():
    assert_compiled_matches_eager(torch.compile(halved, backend=backend), x)

def lambda_of(model):
    class Pipeline:
        components = {{"denoiser": model}}

        def __call__(self, x):
            return (model[1] if isinstance(model, torch.nn.Sequential) else model).decode(model(x))

    return Pipeline()
"""


@pytest.mark.parametrize(("error", "outcomes"), [("+ 0.01", {"failed": 3}), ("+ 0", {"passed": 3})])
def test_compiled_methods_and_functions_are_compared(
    project: pytest.Pytester, error: str, outcomes: dict[str, int]
) -> None:
    """A replaced `forward`, a method that its class compiles, a function in an attribute, and a bare function."""
    project.makepyfile(test_it=BOUND.format(error=error))
    result = project.runpytest_inprocess("--tb=short", "-v")

    result.assert_outcomes(**outcomes)
    if "failed" in outcomes:
        result.stdout.fnmatch_lines(
            [
                "diffopt: 2 outputs of compiled modules differ from eager",
                "  denoiser.1.forward  float32, 8 of 8 values out of tolerance, *",
                "  denoiser.1.decode   float32, 8 of 8 values out of tolerance, *",
                "diffopt: 2 outputs of compiled modules differ from eager",
                "  denoiser.halve   float32, 8 of 8 values out of tolerance, *",
                "  denoiser.decode  float32, 8 of 8 values out of tolerance, *",
                "diffopt: 1 output of compiled modules differs from eager",
                "  halved  float32, 8 of 8 values out of tolerance, *",
            ]
        )


UNCOMPILED = """
import pytest, torch
from pytest_diffopt import assert_compiled_matches_eager

class Denoiser(torch.nn.Module):
    def forward(self, x):
        return x * 2

class Disabled(Denoiser):
    @torch.compiler.disable
    def forward(self, x):
        return super().forward(x)

class Calls:
    def __init__(self, model):
        self.components = {"denoiser": model}

    def __call__(self, sizes):
        for size in sizes:
            self.components["denoiser"](torch.ones(size))

def compiled(model, **options):
    model.compile(backend="eager", **options)
    return model

def test_disabled():
    assert_compiled_matches_eager(compiled(Disabled()), torch.ones(2))

def test_given_up():
    assert_compiled_matches_eager(Calls(compiled(Denoiser(), dynamic=False)), range(2, 12))

def test_watched():
    assert_compiled_matches_eager(Calls(compiled(Denoiser(), dynamic=True)), range(2, 12))
"""


def test_calls_without_compiled_code_are_unwatched(project: pytest.Pytester) -> None:
    """Eager equals eager: a disabled forward, and the calls after Dynamo gave a function up at its eighth shape."""
    project.makepyfile(test_it=UNCOMPILED)
    result = project.runpytest_inprocess("--tb=short", "-v")

    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 compiled module ran no compiled code: eager was compared with eager",
            "  Disabled  uncompiled in 1 of 1 call",
            "seen in pipeline Disabled (weights: the user's own)",
            "Dynamo skips this function or gave it up (a graph break, its recompile limit), or it is excluded *"
            "(torch.compiler.disable, set_stance): assert_no_graph_breaks and assert_no_recompiles show why",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(["  denoiser  uncompiled in 2 of 10 calls", "unwatched  numerics  *"])


QUANTIZED = """
import pytest, torch
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_
from pytest_diffopt import assert_quantized_matches_dequantized

class Faulty(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) * 1.2

@pytest.mark.parametrize("config", [Int8DynamicActivationInt8WeightConfig(version=2), Int8WeightOnlyConfig(version=2)])
@pytest.mark.parametrize("kind", [torch.nn.Linear, Faulty])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers(config, kind, dtype):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.GELU(), kind(128, 32)).to(dtype)
    quantize_(model, config)
    model.compile(backend="eager")
    assert_quantized_matches_dequantized(model, torch.randn(4, 16, 64, dtype=dtype))

def test_nothing_quantized():
    assert_quantized_matches_dequantized(torch.nn.Linear(2, 2), torch.ones(2))

def test_never_called():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(64, 64))
    quantize_(model, Int8WeightOnlyConfig(version=2), lambda layer, name: name == "1")
    model.forward = lambda x: x
    assert_quantized_matches_dequantized(model, torch.ones(2))
"""


def test_quantized_layers_are_compared_with_their_dequantized_weights(project: pytest.Pytester) -> None:
    """A kernel whose results are a fifth too large, with and without quantized activations; right ones pass."""
    project.makepyfile(test_it=QUANTIZED)
    result = project.runpytest_inprocess("--tb=short", "-v")

    result.assert_outcomes(passed=4, failed=6)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 output of quantized layers differs from the dequantized weights",
            "  Sequential.2  float32, * of 2048 values out of tolerance, *",
            "seen against the dequantized weights on the same inputs, pipeline Sequential (weights: the user's own)",
            "the kernel is wrong for this layer: use another format, or leave the layer out",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(
        [
            "diffopt: no quantized layer to compare with its dequantized weight in pipeline Linear *",
            "diffopt: 1 quantized layer is never called",
            "  Sequential.1 was never called, so it was not compared",
            "call the quantized module in the test",
            "passed *numerics*2 quantized layers, *",
        ]
    )


FLOAT64 = """
import torch
from pytest_diffopt import assert_compiled_matches_eager

class Denoiser(torch.nn.Module):
    def forward(self, x):
        return x.sin() * 3

class Cancels(torch.nn.Module):
    def forward(self, x):
        return ((x + 64) - 64) * 2

def noisy(graph, inputs):
    def run(*args):
        return tuple(one + 0.02 * one.abs().mean() * (-1) ** torch.arange(one.numel()) for one in graph(*args))
    return run

def fused(graph, inputs):
    return lambda *args: tuple(one.bfloat16() for one in graph(*(arg.float() for arg in args)))

x = torch.linspace(0.1, 3, 256, dtype=torch.bfloat16)

def test_less_exact():
    model = Denoiser()
    model.compile(backend=noisy)
    assert_compiled_matches_eager(model, x)

def test_more_exact():
    model = Cancels()
    model.compile(backend=fused)
    assert_compiled_matches_eager(model, x)
"""


def test_float64_decides_where_eager_rounds(project: pytest.Pytester) -> None:
    """An error within the tolerance that eager does not have fails; a result nearer to the exact one passes."""
    project.makepyfile(test_it=FLOAT64)
    result = project.runpytest_inprocess("--tb=short", "-v")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_less_exact FAILED*",
            "*test_more_exact PASSED*",
            "  Denoiser  bfloat16, within the tolerance, but its error against float64 is *, eager's * (root mean *)",
        ]
    )
