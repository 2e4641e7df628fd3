"""Fakes of torchvision and torchmetrics for tests of LPIPS without these packages."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

#: File name of AlexNet's weights in torch's cache.
WEIGHTS = "alexnet-1234abcd.pth"


def install(monkeypatch: pytest.MonkeyPatch, torch_home: Path) -> Path:
    """Install both fakes and a file of AlexNet's weights; "LPIPS" is then the mean squared error.

    Returns:
        The file of the weights.
    """
    versions = {"torchvision": "0.28.0", "torchmetrics": "1.9.0"}
    monkeypatch.setattr("pytest_diffopt.probes.lpips.version", versions.__getitem__)
    weights = SimpleNamespace(DEFAULT=SimpleNamespace(url=f"https://example.org/models/{WEIGHTS}"))
    module(monkeypatch, "torchvision", models=SimpleNamespace(AlexNet_Weights=weights))
    module(monkeypatch, "torchmetrics")
    module(monkeypatch, "torchmetrics.functional")
    image = "torchmetrics.functional.image"
    module(monkeypatch, image, learned_perceptual_image_patch_similarity=mean_squared_error)
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    file = torch_home / "hub/checkpoints" / WEIGHTS
    file.parent.mkdir(parents=True)
    file.touch()
    return file


def module(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: object) -> None:
    """Register a fake module as imported."""
    fake = ModuleType(name)
    fake.__dict__.update(attributes)
    monkeypatch.setitem(sys.modules, name, fake)


def mean_squared_error(
    image: torch.Tensor, reference: torch.Tensor, *, net_type: str, reduction: str, normalize: bool
) -> torch.Tensor:
    """Accept and refuse the same arguments as torchmetrics, and consume random numbers like building its network."""
    assert (net_type, reduction, normalize) == ("alex", "none", True)
    assert torch.rand(1).device == image.device == reference.device == torch.device("cpu")
    for one in (image, reference):
        assert one.dtype is torch.float32
        assert (one.ndim, one.shape[1]) == (4, 3)
        assert 0.0 <= one.min() <= one.max() <= 1.0
    return ((image - reference) ** 2).mean(dim=(1, 2, 3)).squeeze()
