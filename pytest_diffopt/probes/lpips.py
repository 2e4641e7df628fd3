"""LPIPS: how differently a network that knows photographs sees two images (Zhang et al. 2018), with AlexNet.

torchmetrics computes it and ships the linear weights; AlexNet and its own weights are torchvision's. Both packages are
an extra, and nothing is downloaded here: what is missing is said, with the command that fetches it.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from packaging.version import Version

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.color_channels import three_channels
from pytest_diffopt.probes.image_arrays import Pixels

# The torchvision that goes with the oldest torch; the first torchmetrics that has a figure for each image of a batch.
_OLDEST = {"torchvision": "0.26", "torchmetrics": "1.8"}
#: What makes torchvision put AlexNet's weights where it looks for them.
FETCH = """python -c 'from torchvision.models import alexnet; alexnet(weights="DEFAULT")'"""
_INSTALL = 'pip install "pytest-diffopt[lpips]"'
# Of fewer pixels AlexNet's second pooling, a window of 3 x 3, has nothing left to look at.
_SMALLEST = 31


def lpips_of(images: Pixels, references: Pixels) -> tuple[float, ...]:
    """Return LPIPS of each image beside its reference: 0 for equal ones, NaN where either holds no number.

    Args:
        images: float in [0, 1], shape (number, height, width, channels); grey is taken for a color, transparency is
            left out.
        references: as many and as large.

    Raises:
        ProbeError: torchvision, torchmetrics or AlexNet's weights are missing or cannot be used, or the images are
            too small for AlexNet.
    """
    if min(images.shape[1:3]) < _SMALLEST:
        size = images.shape[1:3]
        msg = f"images must be at least {_SMALLEST} x {_SMALLEST} pixels for LPIPS, got: {size}; leave max_lpips out"
        raise ProbeError(msg)
    for package, oldest in _OLDEST.items():
        _require_installed(package, oldest)
    weights = _weights_file(_imported("torchvision"))
    figures = _measured(_imported("torchmetrics.functional.image"), images, references, weights)
    is_number = np.isfinite(images).all(axis=(1, 2, 3)) & np.isfinite(references).all(axis=(1, 2, 3))
    return tuple(float(figure) for figure in np.where(is_number, figures, np.nan))


def _measured(metrics: Any, images: Pixels, references: Pixels, weights: Path) -> npt.NDArray[np.float32]:
    # a network draws its first weights before it reads others: neither the numbers that the test draws nor its default
    # device may know of it
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        try:
            figures = metrics.learned_perceptual_image_patch_similarity(
                _as_tensor(images), _as_tensor(references), net_type="alex", reduction="none", normalize=True
            )
        except Exception as error:  # what reads weights may raise anything where they are broken
            msg = (
                f"LPIPS cannot be computed with AlexNet's weights in {weights}: {_in_a_line(error)}; "
                f"if the file is broken, remove it and fetch it again: {FETCH}"
            )
            raise ProbeError(msg) from error
    measured: npt.NDArray[np.float32] = figures.reshape(-1).numpy()  # a single figure comes without a dimension
    return measured


def _as_tensor(images: Pixels) -> torch.Tensor:
    """Return images as AlexNet takes them, shape (number, 3, height, width); what is no number is refused there."""
    return torch.from_numpy(np.nan_to_num(three_channels(images))).permute(0, 3, 1, 2).contiguous()


def _require_installed(name: str, oldest: str) -> None:
    try:
        found = version(name)
    except PackageNotFoundError as error:
        msg = f"LPIPS needs {name}, which is not installed: {_INSTALL}, or leave max_lpips out"
        raise ProbeError(msg) from error
    if Version(found) < Version(oldest):
        msg = f"LPIPS needs {name} {oldest} or newer, and {found} is installed: {_INSTALL}"
        raise ProbeError(msg)


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except Exception as error:  # a package that was built for another torch may raise anything
        package = name.partition(".")[0]
        msg = (
            f"LPIPS needs {package}, and {package} {version(package)} does not import beside torch "
            f"{torch.__version__}: {_in_a_line(error)}; "
            "install the build that goes with this torch, from the index that torch came from"
        )
        raise ProbeError(msg) from error


def _weights_file(torchvision: Any) -> Path:
    url: str = torchvision.models.AlexNet_Weights.DEFAULT.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        msg = f"LPIPS needs AlexNet's weights, and there is no file {path}; fetch it once: {FETCH}"
        raise ProbeError(msg)
    return path


def _in_a_line(error: Exception) -> str:
    first, _, _ = str(error).partition("\n")
    return f"{type(error).__name__}: {first.rstrip(':')}"
