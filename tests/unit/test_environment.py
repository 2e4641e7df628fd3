"""The machine and the versions, read once."""

import pytest
import torch

from pytest_diffopt import environment
from pytest_diffopt.environment import NoGPUError, capture_environment, distribution_version, gpu_name, slug
from pytest_diffopt.records import Device


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H200", "nvidia-h200"),
        ("AMD EPYC 7763 64-Core Processor", "amd-epyc-7763-64-core-processor"),
        ("  (weird)__NAME  ", "weird-name"),
    ],
)
def test_a_devices_name_becomes_a_folders(name: str, expected: str) -> None:
    """Lower case, digits and single hyphens."""
    assert slug(name) == expected


def test_the_cpu_is_marked_as_one() -> None:
    """Its baselines never stand beside a card's."""
    found = capture_environment(Device.CPU)

    assert found.device_slug.startswith("cpu-")
    assert found.versions["torch"] == distribution_version("torch")
    assert "python" in found.versions


def test_the_simulated_gpu_has_a_folder_of_its_own() -> None:
    """It is the same on every machine."""
    assert capture_environment(Device.SIMULATED).device_slug == "simulated"


def test_a_distribution_that_is_missing_is_said_to_be() -> None:
    """And left out of the versions."""
    assert distribution_version("no-such-distribution") == "not installed"


@pytest.mark.parametrize(
    ("cuda", "reason"), [(None, "is a build for the CPU only"), ("13.0", "is built for 13.0, but sees no GPU")]
)
def test_without_a_gpu_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, cuda: str | None, reason: str) -> None:
    """A wrong build and a missing driver are mended differently."""
    monkeypatch.setattr(environment, "accelerator_kind", lambda: "")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)

    with pytest.raises(NoGPUError) as error:
        gpu_name()
    assert str(error.value) == (
        f"--gpu needs a GPU that torch can use, and there is none: torch {torch.__version__} {reason}"
    )
