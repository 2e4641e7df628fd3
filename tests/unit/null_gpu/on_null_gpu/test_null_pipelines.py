"""Whole pipelines at tiny scale: the CPU's image bit for bit, and the syncs of their schedulers."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from packaging.version import Version

from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.sync_lines import Sync, recording_syncs
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers and transformers of other versions than the suites'

# Before torch 2.14 a group norm on CUDA makes its input contiguous by an operation that the CPU does not run: the CPU's
# convolutions then sum in another order.
TOLERANCE = 0.0 if Version(torch.__version__).release >= (2, 14) else 2e-5


def images(pipeline: Any, name: str) -> Any:
    """Run a pipeline."""
    return np.asarray(pipeline(**find_pipeline(name).inputs(Scale.TINY)).images, dtype=float)


def built(name: str) -> Any:
    """Build a tiny pipeline on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_pipeline(find_pipeline(name), Scale.TINY).pipeline


@pytest.mark.parametrize("name", ["sdxl", "sd15-img2img", "sd3", "flux", "deepfloyd-if-1"])
def test_image_is_the_cpus(name: str) -> None:
    """In fp32, eager: no pixel differs, and every operation was computed."""
    pipeline = built(name)
    expected = images(pipeline, name)
    with computing(Values.ALL) as report, torch.no_grad():
        actual = images(pipeline.to("cuda"), name)

    assert np.abs(actual - expected).max() <= TOLERANCE
    assert expected.std() > 0.01
    assert (report.uncomputed, report.replaced) == ({}, {})


def test_two_calls_count_the_same() -> None:
    """After the first call, which initializes libraries."""
    pipeline = built("sdxl").to("cuda")
    runs = []
    with computing(Values.SMALL), torch.no_grad():
        for _ in range(3):
            with counting() as phase:
                images(pipeline, "sdxl")
            runs.append(phase.counts)

    assert runs[1] == runs[2]
    assert runs[1].total(TallyKind.KERNEL) > 1000


def test_injected_sync_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that reads a value in each step is found on that line."""
    pipeline = built("sdxl").to("cuda")
    step = type(pipeline.scheduler).step

    def reading(scheduler: Any, output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        output.mean().item()
        return step(scheduler, output, *args, **kwargs)

    monkeypatch.setattr(type(pipeline.scheduler), "step", reading)
    seen: list[Sync] = []
    with computing(Values.ALL), torch.no_grad(), recording_syncs(seen.append):
        images(pipeline, "sdxl")
    injected = [sync for sync in seen if sync.line is not None and sync.line.function == "reading"]

    assert len(injected) == pipeline.num_timesteps
