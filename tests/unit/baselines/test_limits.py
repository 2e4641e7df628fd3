"""A baseline has one limit per figure; a larger limit guards less."""

import pytest
from msgspec.structs import replace

from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.limits import limits
from pytest_diffopt.guards.latency import judge_latency
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Device, Environment, LatencyRecord, Subject, Weights
from tests.unit.baselines.baseline_examples import (
    ENVIRONMENT,
    SUBJECT,
    compiled,
    counts,
    images,
    kernels,
    latency,
    memory,
)


def test_a_latency_allows_its_median_and_the_larger_tolerance() -> None:
    """The margin for a long call, the floor for a short one."""
    assert limits(latency(1000, 1100, 1200)) == {"latency_ns": 1200.0}
    assert limits(replace(latency(1000, 1100, 1200), floor_ns=0)) == {"latency_ns": 1155.0}


def test_the_limit_is_the_one_of_the_guard() -> None:
    """A call that takes exactly the limit passes, one nanosecond more fails."""
    accepted = latency(1000, 1100, 1200)
    subject = Subject(
        pipeline=SUBJECT.pipeline,
        scale=SUBJECT.scale,
        recipe=SUBJECT.recipe,
        weights=Weights.RANDOM,
        device=Device.CUDA,
    )
    environment = Environment(device_slug="nvidia-h200", device_name=ENVIRONMENT.device_name)
    limit = int(limits(accepted)["latency_ns"])
    outcomes = [
        judge_latency(
            LatencyRecord(subject=subject, warmup_ns=(9,), samples_ns=(median, median), num_steps=4),
            accepted,
            environment=environment,
            rerun="",
        ).outcome
        for median in (limit, limit + 1)
    ]

    assert outcomes == [Outcome.PASSED, Outcome.REGRESSED]


def test_a_missing_memory_peak_is_not_a_limit() -> None:
    """The simulated GPU has no caching allocator."""
    allowed = (1 << 20) * 1.01

    assert limits(memory()) == {"peak_allocated_bytes": allowed}
    assert sorted(limits(replace(memory(), peak_reserved_bytes=5))) == ["peak_allocated_bytes", "peak_reserved_bytes"]


def test_counts_are_their_own_limits() -> None:
    """Except for compiled operators and reused buffers, of which neither more nor fewer is worse."""
    assert limits(counts(operations=7)) == {
        "step 1: allocated_bytes": 0.0,
        "step 1: bytes_to_device": 0.0,
        "step 1: bytes_to_host": 0.0,
        "step 1: flops": 10.0,
        "step 1: operations": 7.0,
        "step 1: peak_memory_bytes": 5.0,
        "operations that are not counted": 0.0,
    }
    assert limits(compiled(breaks=2)) == {
        "UNet.forward: graphs": 1.0,
        "UNet.forward: breaks": 2.0,
        "UNet.forward: recompiles": 0.0,
        "UNet.forward: guards": 9.0,
        "UNet.forward: symbolic_sizes": 0.0,
        "UNet.forward: generated_kernels": 8.0,
        "UNet.forward: external_calls": 6.0,
        "UNet.forward: fallbacks": 1.0,
    }


def test_sums_of_kernels_are_limits() -> None:
    """Names and CUDA graphs are not: the same launches in more graphs are no looser."""
    assert limits(kernels(launched=7)) == {
        "step 0: launches": 9.0,
        "step 0: launches outside graphs": 0.0,
        "step 0: copies": 1.0,
        "step 0: copied bytes": 8.0,
        "step 0: fills": 0.0,
        "step 0: filled bytes": 0.0,
        "step 0: allocations past the cache": 0.0,
        "step 0: peak memory allocated": 512.0,
        "step 0: peak memory reserved": float(2 << 20),
        "calls that are not modelled": 0.0,
    }


def test_limits_of_images_grow_with_the_allowed_difference() -> None:
    """Also for SSIM and PSNR, which are larger for better images."""
    assert limits(images()) == pytest.approx(
        {
            "loss of SSIM": 0.02,
            "dB of PSNR below 100": 60.0,
            "largest error": 0.2,
            "mean error": 0.01,
            "FLIP": 0.05,
            "latents off": 0.03,
        }
    )
    looser = images(ssim=0.9, psnr_db=30.0, max_error=0.3, mean_error=0.02, flip=0.1, latent_error=0.1)
    assert all(limits(looser)[name] > limit for name, limit in limits(images()).items())


def test_an_unknown_kind_has_no_limits() -> None:
    """So no change of it is looser."""
    assert limits(Baseline(case="a", subject=SUBJECT, environment=ENVIRONMENT, reason="b")) == {}
