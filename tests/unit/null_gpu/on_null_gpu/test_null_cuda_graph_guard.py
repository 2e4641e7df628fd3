"""Recipes that ask for CUDA graphs: applied only if a graph is launched; what is kept out is named with its line."""

import json

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers and torch of other versions than the suites'

PROJECT = """
import pytest
import torch
import small_pipeline
from pytest_diffopt import assert_optimizations_applied, parse_recipe

@torch.library.custom_op("diffopt_test::unsafe", mutates_args=(), tags=(torch.Tag.cudagraph_unsafe,))
def unsafe(latents: torch.Tensor) -> torch.Tensor:
    return latents * 2

@unsafe.register_fake
def _(latents):
    return torch.empty_like(latents)

class Clean(small_pipeline.SmallUNet):
    pass

class NothingCaptured(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        return torch.ops.diffopt_test.unsafe(latents)

class MutatesItsInput(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        latents.add_(1)
        return super().forward(latents, timestep)

class ReadsAScalarOfTheCpu(small_pipeline.SmallUNet):
    on_the_cpu = [torch.full((3,), 0.3)]

    def forward(self, latents, timestep):
        scale = self.on_the_cpu[0].sum().to(latents.device)
        return super().forward(latents * scale, timestep)

class KeepsAnOutput(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        noise = self.unet(latents, timestep)
        before, self.before = getattr(self, "before", None), noise
        return latents - noise if before is None else latents - (noise + before) / 2

def compiled(unet=Clean, pipeline=small_pipeline.SmallPipeline):
    built = small_pipeline.build(unet=unet, pipeline=pipeline).to("cuda")
    return parse_recipe('compile(target=["denoiser"], mode="reduce-overhead")').apply(built)

@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    with torch._inductor.config.patch(force_disable_caches={is_cold}):
        yield
    torch.compiler.reset()

"""
COLD, WARM = (PROJECT.replace("{is_cold}", is_cold) for is_cold in ("True", "False"))


APPLIED = """
@pytest.mark.parametrize("unet", [Clean, NothingCaptured, MutatesItsInput, ReadsAScalarOfTheCpu])
def test_applied(unet):
    assert_optimizations_applied(compiled(unet), **small_pipeline.inputs())
"""


def test_graphs_are_made_where_warnings_are_errors(project: pytest.Pytester) -> None:
    """Torch itself captures an empty graph first, and warns of it."""
    project.makepyfile(
        test_it=COLD + APPLIED.replace("[Clean, NothingCaptured, MutatesItsInput, ReadsAScalarOfTheCpu]", "[Clean]")
    )
    result = project.runpytest_inprocess("-W", "error:The CUDA Graph is empty")

    result.assert_outcomes(passed=1)


def test_mode_without_a_graph_is_not_applied(project: pytest.Pytester) -> None:
    """A graph that holds a part of the module is one; the reason why there is none has its line."""
    project.makepyfile(test_it=COLD + APPLIED)
    result = project.runpytest_inprocess()

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 optimization is not applied",
            '  compile(target=["denoiser"], mode="reduce-overhead"): compiled code ran for denoiser',
            "    missing: unet launches no CUDA graph (CUDAGraph-unsafe custom ops at test_it.py:*) "
            "with mode='reduce-overhead'",
            "diffopt: 1 of 1 optimization is not applied",
            "    missing: unet launches no CUDA graph (mutated inputs (1 instances) at test_it.py:*) "
            "with mode='reduce-overhead'",
        ]
    )


def test_code_from_the_cache_has_no_reason(project: pytest.Pytester) -> None:
    """Torch does not store it; the text names the variable with which it compiles again."""
    project.makepyfile(test_it=WARM + APPLIED.replace("Clean, NothingCaptured, Mutates", "NothingCaptured, Mutates"))
    project.runpytest_inprocess("-k", "NothingCaptured")
    result = project.runpytest_inprocess("-k", "NothingCaptured")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "    missing: unet launches no CUDA graph (torch gives no reason; for code from its cache, "
            "TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 shows it) with mode='reduce-overhead'"
        ]
    )


COUNTED = """
def test_graphs(kernel_baseline):
    kernel_baseline.check(compiled({unet}), **small_pipeline.inputs())
"""


def test_operation_kept_out_of_its_graph_is_counted(project: pytest.Pytester) -> None:
    """A scalar of the CPU splits the module; the kernel baseline has the launches that leave the graph."""
    project.makepyfile(test_it=WARM + COUNTED.format(unet="Clean"))
    accepting = project.runpytest_inprocess("--diffopt-update=missing")
    again = project.runpytest_inprocess("-v")
    project.makepyfile(test_it=WARM + COUNTED.format(unet="ReadsAScalarOfTheCpu"))
    split = project.runpytest_inprocess()

    accepting.assert_outcomes(passed=1)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["*launches, * % of them in 3 CUDA graphs, peak *"])
    split.assert_outcomes(failed=1)
    split.stdout.fnmatch_lines(
        [
            "diffopt: the kernels differ from the accepted ones",
            "  step 0     *",
            "  step 0     copies host to device 0 -> 1",
        ]
    )


OVERWRITTEN = """
def test_applied():
    assert_optimizations_applied(compiled(pipeline={pipeline}), **small_pipeline.inputs())
"""


def test_output_that_the_next_replay_overwrites_fails(project: pytest.Pytester) -> None:
    """It is torch's error, with the line that keeps the output."""
    project.makepyfile(test_it=WARM + OVERWRITTEN.format(pipeline="KeepsAnOutput"))
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*accessing tensor output of CUDAGraphs that has been overwritten by a subsequent run*"]
    )


COMPILED = """
from pytest_diffopt import assert_no_graph_breaks

@pytest.mark.parametrize("unet", [Clean, ReadsAScalarOfTheCpu])
def test_one_graph(unet):
    pipeline = compiled(unet)
    assert_no_graph_breaks(pipeline, **small_pipeline.inputs())
"""


def test_what_inductor_generated_is_recorded(project: pytest.Pytester) -> None:
    """Kernels, external calls and partitions of each compilation, equal from Inductor's cache."""
    project.makepyfile(test_it=WARM + COMPILED)
    frames = []
    for _ in range(2):
        project.runpytest_inprocess("--diffopt-report=report").assert_outcomes(passed=2)
        report = json.loads((project.path / "report/report.json").read_text(encoding="utf-8"))
        records = {one["nodeid"].partition("[")[2]: one["record"]["frames"] for one in report["verdicts"]}
        frames.append({name: [counted(frame) for frame in found] for name, found in records.items()})

    assert frames[0] == frames[1]
    ((kernels, external, partitions),) = frames[0]["Clean]"]
    assert (kernels > 0, external, partitions) == (True, 3, 0)  # two convolutions and a linear layer
    ((split_kernels, split_external, split_partitions),) = frames[0]["ReadsAScalarOfTheCpu]"]
    assert (split_kernels > kernels, split_external >= external, split_partitions > 1) == (True, True, True)


def counted(frame: dict[str, int]) -> tuple[int, int, int]:
    """Return the counts of Inductor in a frame of a report."""
    return frame["generated_kernels"], frame["external_calls"], frame["graph_partitions"]
