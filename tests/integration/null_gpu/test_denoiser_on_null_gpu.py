"""Operations of each denoise step, and of its denoiser, on the null GPU and with the probe of a real GPU."""

import pytest

from tests.integration.null_gpu.conftest import Run, reported

PROJECT = """
import torch
import pytest
import small_pipeline
from pytest_diffopt import assert_no_syncs
from pytest_diffopt.guards.syncs import judge_syncs
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, Subject

class Engine(small_pipeline.SmallUNet):
    def __init__(self):
        super().__init__()
        self.engine = [small_pipeline.SmallUNet()]

    def forward(self, latents, timestep):
        return self.engine[0](latents.cpu(), timestep.cpu()).to(latents.device)

def build(unet):
    return small_pipeline.build(unet).to("cuda")

@pytest.fixture(params=["SmallUNet", "Engine"])
def pipeline(request):
    return build(Engine if request.param == "Engine" else small_pipeline.SmallUNet)

def test_syncs(pipeline):
    assert_no_syncs(pipeline)

def test_kernels(pipeline, kernel_baseline):
    kernel_baseline.check(pipeline)

def on_cuda(pipeline):
    # the probe of a real GPU: the null GPU runs the same CUDA build of torch
    with watch_syncs(pipeline, Subject(pipeline="small", device=Device.CUDA)) as watch:
        pipeline()
    return watch.record

def test_probe_of_a_real_gpu():
    eager, elsewhere = on_cuda(build(small_pipeline.SmallUNet)), on_cuda(build(Engine))
    assert eager.num_steps == 3 and eager.seen_by == "the GPU (sync debug mode)"
    # two convolutions, a linear layer, an addition and SiLU; two more update the latents; views are none
    assert eager.denoiser.operations == {"unet": (5, 5, 5)}
    assert eager.operations == (7, 7, 7)
    assert elsewhere.denoiser.operations == {"unet": (0, 0, 0)}
    assert judge_syncs(eager).outcome == "passed"
    assert judge_syncs(elsewhere).outcome == "unwatched"

def test_compiled_code_is_seen():
    pipeline = build(small_pipeline.SmallUNet)
    pipeline.unet.compile(fullgraph=True, dynamic=False)
    pipeline()
    compiled = on_cuda(pipeline)
    assert compiled.denoiser.calls == {"unet": (1, 1, 1)}
    assert all(compiled.denoiser.operations["unet"])
    assert judge_syncs(compiled).outcome == "passed"
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    pipeline()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before
"""


def test_a_denoiser_on_the_host_is_unwatched(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """Its scheduler launches kernels; no baseline of kernels is accepted; the clean counterpart passes."""
    pytester.makepyfile(test_it=PROJECT)
    result = run_on_null_gpu("--diffopt-null-gpu", "--diffopt-report=report", "--diffopt-update=missing")
    entries = reported(pytester)

    result.assert_outcomes(passed=4, failed=2)
    assert {name: entry["verdict"]["outcome"] for name, entry in entries.items()} == {
        "test_syncs[SmallUNet]": "passed",
        "test_syncs[Engine]": "unwatched",
        "test_kernels[SmallUNet]": "passed",
        "test_kernels[Engine]": "unwatched",
    }
    assert entries["test_syncs[SmallUNet]"]["record"]["denoiser"]["calls"] == {"unet": [1, 1, 1]}
    result.stdout.fnmatch_lines(
        [
            "diffopt: no operation of the denoiser ran on the null NVIDIA H200 in the denoise loop: its operations "
            "were not watched",
            "  unet: weights on cuda:0, but computed elsewhere",
            "  operations of unet per step: 0, 0, 0",
        ],
        consecutive=True,
    )
