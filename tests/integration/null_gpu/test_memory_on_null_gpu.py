"""Peak memory and out-of-memory errors on the null GPU."""

import json

import pytest

from tests.integration.null_gpu.conftest import Run

PEAK = """
import pytest
import torch
import small_pipeline

@pytest.fixture(scope="module")
def optimized_pipeline():
    return small_pipeline.build().to("cuda")

@pytest.fixture(scope="module")
def others():
    torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")  # cuBLAS keeps a workspace
    other = small_pipeline.build().to("cuda")
    other()
    holed = [torch.empty(2**20 + 4096 * index, dtype=torch.uint8, device="cuda") for index in range(9)]
    del holed[::2]
    return other, holed

def test_peak(optimized_pipeline, memory_baseline):
    memory_baseline.check(optimized_pipeline)

def test_peak_beside_others(others, optimized_pipeline, memory_baseline):
    memory_baseline.check(optimized_pipeline)

def test_peak_after_garbage(optimized_pipeline, memory_baseline):
    garbage = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    del garbage
    memory_baseline.check(optimized_pipeline)
"""
OWN = """
import pytest
import pytest_diffopt
import torch

@pytest.fixture
def optimized_pipeline():
    return torch.empty(16 * 2**30, dtype=torch.uint8, device="cuda")

def test_own(optimized_pipeline):
    pass
"""
NAMED = """
import pytest
import torch

torch.cuda.set_per_process_memory_fraction(2e-4)  # of a T4: 3 MiB

@pytest.mark.diffopt(pipeline="sdxl", recipe="fp32")
def test_named(optimized_pipeline):
    pass
"""


def test_peak_depends_on_nothing_else(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """Equal to the byte alone, beside another pipeline and fragments, after garbage, and in another order."""
    pytester.makepyfile(test_it=PEAK)
    options = ("--diffopt-null-gpu", "--diffopt-update=missing", "--diffopt-report=report")
    peaks = []
    for selected in ("", "beside"):
        run_on_null_gpu(*options, "-k", selected)
        report = json.loads((pytester.path / "report" / "report.json").read_text(encoding="utf-8"))
        records = [entry["record"] for entry in report["verdicts"]]
        peaks += [(record["peak_allocated_bytes"], record["peak_reserved_bytes"]) for record in records]

    assert len(peaks) == 4
    assert len(set(peaks)) == 1
    assert 0 < peaks[0][0] <= peaks[0][1]


def test_out_of_memory_while_a_pipeline_is_built(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """One sentence, and no traceback of torch; the pipeline is the user's own or a named one."""
    pytester.makepyfile(test_named=NAMED, test_own=OWN)
    result = run_on_null_gpu("--diffopt-null-gpu=t4")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "diffopt: out of memory while it was built: pipeline sdxl (tiny), recipe fp32 requested * MiB more",
            "  CUDA out of memory. Tried to allocate *",
            "  run it on a larger device, at a smaller scale, or with a recipe that needs less",
            "diffopt: out of memory while it was built: the fixture optimized_pipeline requested 16.00 GiB more",
            "  CUDA out of memory. Tried to allocate *",
            "  run it on a larger device, at a smaller scale, or with a recipe that needs less",
        ]
    )
    assert not [line for line in result.outlines if line.startswith("Traceback")]
    assert len(result.outlines) < 50
