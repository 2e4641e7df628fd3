"""Tests of the environment: device names, package versions, and the error without a GPU."""

import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_diffopt import environment
from pytest_diffopt.environment import (
    NoGPUError,
    accelerator_kind,
    capture_environment,
    distribution_version,
    gpu_device,
    gpu_name,
    slug,
    torch_device,
    with_inductor_variables,
)
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.records import Device


@pytest.fixture(autouse=True)
def _recaptured() -> Iterator[None]:
    """Clear the cached environment before and after each test."""
    capture_environment.cache_clear()
    yield
    capture_environment.cache_clear()


def with_accelerators(monkeypatch: pytest.MonkeyPatch, **names: str | None) -> None:
    """Replace torch's accelerator modules: each given one is available, with this name."""

    def module_of(kind: str) -> Any:
        module = SimpleNamespace(is_available=lambda: kind in names)
        if names.get(kind):
            module.get_device_name = lambda number: f"{names[kind]} {number}"
        return module

    monkeypatch.setattr(torch, "get_device_module", module_of)


@pytest.mark.parametrize(
    ("available", "kind"),
    [
        ({}, ""),
        ({"cuda": "NVIDIA H200"}, "cuda"),
        ({"xpu": "Arc"}, "xpu"),
        ({"mps": None}, "mps"),
        ({"mps": None, "cuda": "NVIDIA H200"}, "cuda"),
    ],
)
def test_the_available_accelerator_is_used(
    monkeypatch: pytest.MonkeyPatch, available: dict[str, str | None], kind: str
) -> None:
    """Pipelines are built on it, or on the CPU without one."""
    with_accelerators(monkeypatch, **available)

    assert accelerator_kind() == kind
    assert torch_device(Device.CUDA) == (kind or "cpu")
    assert torch_device(Device.SIMULATED) == torch_device(Device.CPU) == "cpu"


@pytest.mark.parametrize(
    ("cuda", "hip", "reason"),
    [
        (None, None, "is a CPU-only build"),
        ("13.0", None, "is built for CUDA 13.0 but finds no GPU"),
        (None, "7.1", "is built for ROCm 7.1 but finds no GPU"),
    ],
)
def test_a_missing_gpu_is_an_error(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, hip: str | None, reason: str
) -> None:
    """The message states for which toolkit torch was built."""
    with_accelerators(monkeypatch)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)

    with pytest.raises(NoGPUError) as error:
        capture_environment(Device.CUDA)

    assert str(error.value) == (
        f"--diffopt-gpu needs a GPU that torch can use, but found none: torch {torch.__version__} {reason}"
    )
    assert isinstance(error.value, DiffoptError)


def test_a_gpu_has_the_name_that_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first GPU is used; the folder is the slug of its name."""
    with_accelerators(monkeypatch, cuda="NVIDIA H200")
    captured = capture_environment(Device.CUDA)

    assert gpu_name() == captured.device_name == "NVIDIA H200 0"
    assert captured.device_slug == "nvidia-h200-0"


def test_a_gpu_without_a_name_is_named_after_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example MPS."""
    with_accelerators(monkeypatch, mps=None)

    assert gpu_name() == "mps"


def test_the_simulated_gpu_is_the_same_on_every_machine() -> None:
    """Its baselines are valid on every machine, so its name does not depend on one."""
    captured = capture_environment(Device.SIMULATED)

    assert (captured.device_slug, captured.device_name) == ("simulated", "the simulated GPU")


def test_versions_are_those_of_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not installed is left out."""
    monkeypatch.setattr(environment, "_DISTRIBUTIONS", ("torch", "no-such-distribution"))

    assert capture_environment(Device.SIMULATED).versions == {
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def test_a_distribution_that_is_not_installed_is_reported() -> None:
    """The version is then `not installed`."""
    assert distribution_version("no-such-distribution") == "not installed"
    assert distribution_version("torch") == version("torch")


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "name"),
    [
        ("vendor_id\t: x\nmodel name\t: AMD EPYC 9V74\nmodel name\t: AMD EPYC 9V74\n", "x86", "AMD EPYC 9V74"),
        ("Hardware\t: x\n", "aarch64", "aarch64"),
        (None, "arm", "arm"),
        (None, "", platform.machine()),
    ],
)
def test_a_cpu_has_the_name_of_its_model(
    monkeypatch: pytest.MonkeyPatch, cpuinfo: str | None, processor: str, name: str
) -> None:
    """From /proc/cpuinfo, else from `platform`; its folder starts with `cpu-`."""
    read_text = Path.read_text

    def read(path: Path, *args: str, **kwargs: str) -> str:
        if path != Path("/proc/cpuinfo"):
            return read_text(path, *args, **kwargs)
        if cpuinfo is None:
            raise FileNotFoundError
        return cpuinfo

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(platform, "processor", lambda: processor)
    captured = capture_environment(Device.CPU)

    assert (captured.device_name, captured.device_slug) == (name, "cpu-" + slug(name))


def test_an_environment_is_cached() -> None:
    """It does not change during a test session."""
    assert capture_environment(Device.CPU) is capture_environment(Device.CPU)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("NVIDIA H200", "nvidia-h200"),
        ("NVIDIA GeForce RTX 4090 (24 GB)", "nvidia-geforce-rtx-4090-24-gb"),
        ("  Apple__M4 Max! ", "apple-m4-max"),
        ("Intel(R) Arc(TM)", "intel-r-arc-tm"),
    ],
)
def test_a_slug_is_a_folder_name(name: str, folder: str) -> None:
    """Lower-case letters, digits and single hyphens."""
    assert slug(name) == folder


def test_the_null_gpu_is_not_the_gpu_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name and the folder of its baselines differ, whichever device a caller asks for."""
    with_accelerators(monkeypatch, cuda="NVIDIA H200")
    monkeypatch.setenv("DIFFOPT_NULL_GPU_DEVICE", "1,90,132,1,1,1,1,1,1,1,1,1,NVIDIA H200")

    assert gpu_device() is Device.NULL_GPU
    for device in (Device.NULL_GPU, Device.CUDA):
        assert capture_environment(device).device_name == "null NVIDIA H200 0"
        assert capture_environment(device).device_slug == "null-nvidia-h200-0"


def test_variables_that_change_inductors_code_are_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A baseline shows them as it shows the versions of packages; where code is cached changes nothing."""
    monkeypatch.setenv("TORCHINDUCTOR_MAX_AUTOTUNE", "1")
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TORCHINDUCTOR_COMPILE_THREADS", "TORCHINDUCTOR_FX_GRAPH_CACHE"):
        monkeypatch.setenv(name, "1")
    plain = capture_environment(Device.CPU)
    found = with_inductor_variables(plain)

    assert found.versions.items() - plain.versions.items() == {("TORCHINDUCTOR_MAX_AUTOTUNE", "1")}
