"""Memory guards need launches of the call and of its denoiser, on the null GPU and with the probes of a real GPU."""

import pytest

from tests.integration.null_gpu.conftest import Run, reported

PROJECT = """
import pytest
import small_pipeline
import torch
from pytest_diffopt import assert_memory_stable
from pytest_diffopt.guards.memory_growth import judge_memory_growth
from pytest_diffopt.guards.syncs import judge_syncs
from pytest_diffopt.probes.memory import measure_peak_memory_cuda
from pytest_diffopt.probes.memory_growth import measure_growth_cuda
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, Subject

kept = []

class Engine(small_pipeline.SmallUNet):
    def __init__(self):
        super().__init__()
        self.engine = [small_pipeline.SmallUNet()]

    def forward(self, latents, timestep):
        return self.engine[0](latents.cpu(), timestep.cpu()).to(latents.device)

class Keeping(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        kept.append(torch.zeros(16384, device=latents.device))
        return super().forward(latents, timestep)

def build(unet):
    return small_pipeline.build(unet).to("cuda")

@pytest.fixture(params=[small_pipeline.SmallUNet, Engine, Keeping], ids=lambda unet: unet.__name__)
def pipeline(request):
    yield build(request.param)
    kept.clear()

def test_peak(pipeline, memory_baseline):
    memory_baseline.check(pipeline)

def test_growth(pipeline):
    assert_memory_stable(pipeline, [{}])

def test_on_the_host():
    assert_memory_stable(lambda: torch.ones(3) + 1, [{}])

SUBJECT = Subject(pipeline="small", device=Device.CUDA)

@pytest.mark.parametrize("unet", [small_pipeline.SmallUNet, Engine], ids=lambda unet: unet.__name__)
def test_probes_of_a_real_gpu(unet):
    # the null GPU runs the same CUDA build of torch
    pipeline = build(unet)
    is_here = unet is not Engine
    peak = measure_peak_memory_cuda(pipeline, SUBJECT, target=pipeline)
    assert peak.operations > 0 and peak.is_watched is is_here
    growth = measure_growth_cuda(pipeline, [("the call", pipeline)], SUBJECT)
    assert judge_memory_growth(growth).outcome == ("passed" if is_here else "unwatched")

@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_the_probes_of_a_real_gpu_see_compiled_code_and_compile_nothing(mode):
    pipeline = build(small_pipeline.SmallUNet)
    pipeline.unet.compile(fullgraph=True, dynamic=False, mode=mode)
    for _ in range(3):  # replays CUDA graphs at last
        pipeline()
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert measure_peak_memory_cuda(pipeline, SUBJECT, target=pipeline).is_watched
    growth = measure_growth_cuda(pipeline, [("the call", pipeline)], SUBJECT)
    assert judge_memory_growth(growth).outcome == "passed"
    with watch_syncs(pipeline, SUBJECT) as watch:
        pipeline()
    assert judge_syncs(watch.record).outcome == "passed"
    pipeline()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
"""


def test_memory_without_its_denoiser_is_unwatched(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """No baseline is accepted; the clean counterpart passes, and memory that each step keeps fails."""
    pytester.makepyfile(test_it=PROJECT)
    result = run_on_null_gpu("--diffopt-null-gpu", "--diffopt-report=report", "--diffopt-update=missing")
    entries = reported(pytester)

    assert {name: entry["verdict"]["outcome"] for name, entry in entries.items()} == {
        "test_peak[SmallUNet]": "passed",
        "test_peak[Engine]": "unwatched",
        "test_peak[Keeping]": "passed",
        "test_growth[SmallUNet]": "passed",
        "test_growth[Engine]": "unwatched",
        "test_growth[Keeping]": "regressed",
        "test_on_the_host": "unwatched",
    }
    result.assert_outcomes(passed=7, failed=4)
    peak = entries["test_peak[SmallUNet]"]["record"]
    assert 0 < sum(peak["denoiser"]["operations"]["unet"]) < peak["operations"]
    assert entries["test_growth[SmallUNet]"]["record"]["calls"][0]["denoiser"]["calls"] == {"unet": [3]}
    result.stdout.fnmatch_lines(
        [
            "diffopt: no operation of the denoiser ran on the null GPU in the denoise loop: its operations were not "
            "watched",
            "  unet: weights on cuda:0, but computed elsewhere",
            "  operations of unet per step: 0",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(["diffopt: no operation of the call ran on the null GPU: nothing was watched"])
