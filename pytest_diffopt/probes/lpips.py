"""LPIPS with AlexNet: distance of two images in the features of a network trained on photographs (Zhang et al. 2018).

torchmetrics computes LPIPS and includes its linear weights; AlexNet and its weights come from torchvision. Both are
optional dependencies. Nothing is downloaded here: an error names the missing part and the command that fetches it.
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

# The torchvision of the oldest supported torch; the first torchmetrics that returns LPIPS of each image of a batch.
_OLDEST = {"torchvision": "0.26", "torchmetrics": "1.8"}
#: The command that stores AlexNet's weights in torch's cache.
FETCH = """python -c 'from torchvision.models import alexnet; alexnet(weights="DEFAULT")'"""
_INSTALL = 'pip install "pytest-diffopt[lpips]"'
# With fewer pixels, the input of AlexNet's second pooling is smaller than its 3 x 3 window.
_SMALLEST = 31


def lpips_of(images: Pixels, references: Pixels) -> tuple[float, ...]:
    """Return LPIPS of each image: 0 for equal images, NaN when either image contains NaN or infinite values.

    Args:
        images: float in [0, 1], shape (number, height, width, channels); gray is converted to RGB, an alpha channel is
            dropped.
        references: the same shape.

    Raises:
        ProbeError: torchvision, torchmetrics or AlexNet's weights are missing or unusable, or the images are too small
            for AlexNet.
    """
    if min(images.shape[1:3]) < _SMALLEST:
        size = images.shape[1:3]
        msg = f"images must be at least {_SMALLEST} x {_SMALLEST} pixels for LPIPS, got: {size}; remove max_lpips"
        raise ProbeError(msg)
    for package, oldest in _OLDEST.items():
        _require_installed(package, oldest)
    weights = _weights_file(_imported("torchvision"))
    figures = _measured(_imported("torchmetrics.functional.image"), images, references, weights)
    is_number = np.isfinite(images).all(axis=(1, 2, 3)) & np.isfinite(references).all(axis=(1, 2, 3))
    return tuple(float(figure) for figure in np.where(is_number, figures, np.nan))


def _measured(metrics: Any, images: Pixels, references: Pixels, weights: Path) -> npt.NDArray[np.float32]:
    # building the network consumes random numbers before its weights are loaded: the test's generator and default
    # device must not be affected
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        try:
            figures = metrics.learned_perceptual_image_patch_similarity(
                _as_tensor(images), _as_tensor(references), net_type="alex", reduction="none", normalize=True
            )
        except Exception as error:  # reading corrupt weights may raise any exception
            msg = (
                f"LPIPS cannot be computed with AlexNet's weights in {weights}: {_in_a_line(error)}; "
                f"if the file is corrupt, remove it and fetch it again: {FETCH}"
            )
            raise ProbeError(msg) from error
    measured: npt.NDArray[np.float32] = figures.reshape(-1).numpy()  # zero-dimensional for a single image
    return measured


def _as_tensor(images: Pixels) -> torch.Tensor:
    """Return images in AlexNet's layout, shape (number, 3, height, width), without NaN, which torchmetrics refuses."""
    return torch.from_numpy(np.nan_to_num(three_channels(images))).permute(0, 3, 1, 2).contiguous()


def _require_installed(name: str, oldest: str) -> None:
    try:
        found = version(name)
    except PackageNotFoundError as error:
        msg = f"LPIPS needs {name}, which is not installed: {_INSTALL}, or remove max_lpips"
        raise ProbeError(msg) from error
    if Version(found) < Version(oldest):
        msg = f"LPIPS needs {name} {oldest} or newer, and {found} is installed: {_INSTALL}"
        raise ProbeError(msg)


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except Exception as error:  # a package built for another torch may raise any exception
        package = name.partition(".")[0]
        msg = (
            f"LPIPS needs {package}, but {package} {version(package)} cannot be imported with torch "
            f"{torch.__version__}: {_in_a_line(error)}; "
            "install the build for this torch, from the index from which torch was installed"
        )
        raise ProbeError(msg) from error


def _weights_file(torchvision: Any) -> Path:
    url: str = torchvision.models.AlexNet_Weights.DEFAULT.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        msg = f"LPIPS needs AlexNet's weights, but {path} does not exist; fetch it once: {FETCH}"
        raise ProbeError(msg)
    return path


def _in_a_line(error: Exception) -> str:
    first, _, _ = str(error).partition("\n")
    return f"{type(error).__name__}: {first.rstrip(':')}"
