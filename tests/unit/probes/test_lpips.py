"""Tests of LPIPS: its value when the packages are installed, and the messages when something is missing."""

from collections.abc import Iterator
from functools import partial
from importlib import import_module, metadata
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.probes.lpips import lpips_of
from pytest_diffopt.records import Subject
from tests import fake_lpips

Pixels = npt.NDArray[np.float64]
FETCH = """python -c 'from torchvision.models import alexnet; alexnet(weights="DEFAULT")'"""


def noise(seed: int, *, number: int = 1, size: int = 32, channels: int = 3) -> Pixels:
    """Return images of noise."""
    return np.random.default_rng(seed).random((number, size, size, channels))


def refusal(images: Pixels | None = None) -> str:
    """Return the message when LPIPS cannot be measured."""
    images = noise(1) if images is None else images
    with pytest.raises(ProbeError) as error:
        lpips_of(images, images)
    return str(error.value)


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Install fakes of both packages; return the file of AlexNet's weights."""
    return fake_lpips.install(monkeypatch, tmp_path)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_image_has_its_own_figure(number: int, channels: int) -> None:
    """In order, from three channels: gray is converted, and alpha is dropped."""
    ours, theirs = (noise(seed, number=number, channels=channels) for seed in (1, 2))
    errors = ((ours - theirs)[..., :3] ** 2).mean(axis=(1, 2, 3))

    assert lpips_of(ours, theirs) == pytest.approx(errors.tolist(), rel=1e-5)
    assert lpips_of(ours, ours) == (0.0,) * number


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_lpips_of_a_not_finite_image_is_nan(value: float) -> None:
    """It must not be clipped to a valid value; other images of the batch are not affected."""
    broken, whole = noise(1, number=2), noise(1, number=2)
    broken[1, 3, 3, 0] = value

    for first, second in (lpips_of(broken, whole), lpips_of(whole, broken)):
        assert first == 0.0
        assert np.isnan(second)


@pytest.mark.usefixtures("weights")
def test_lpips_is_recorded_only_on_request() -> None:
    """Otherwise it is None."""
    compare = partial(compare_images, noise(1, number=2), noise(2, number=2), Subject(pipeline="sdxl"))

    assert tuple(one.lpips for one in compare(with_lpips=True).differences) == lpips_of(
        noise(1, number=2), noise(2, number=2)
    )
    assert [one.lpips for one in compare().differences] == [None, None]


@pytest.mark.usefixtures("weights")
def test_the_random_state_and_the_default_device_are_kept() -> None:
    """The network is initialized with random weights before its own are loaded, and is built on the CPU."""
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    with torch.device("meta"):
        lpips_of(noise(1), noise(2))
        device = torch.empty(1).device

    assert device == torch.device("meta")
    assert torch.rand(1) == expected


@pytest.mark.parametrize("name", ["torchvision", "torchmetrics"])
@pytest.mark.usefixtures("weights")
def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The message has the command that installs both."""

    def version(asked: str) -> str:
        if asked == name:
            raise metadata.PackageNotFoundError
        return "9.9"

    monkeypatch.setattr("pytest_diffopt.probes.lpips.version", version)

    assert refusal() == (
        f'LPIPS needs {name}, which is not installed: pip install "pytest-diffopt[lpips]", or remove max_lpips'
    )


@pytest.mark.parametrize(
    ("name", "oldest", "found"), [("torchvision", "0.26", "0.25.0+cpu"), ("torchmetrics", "1.8", "1.7.4")]
)
@pytest.mark.usefixtures("weights")
def test_a_package_that_is_too_old_is_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, oldest: str, found: str
) -> None:
    """The message has both versions and the command."""
    versions = {"torchvision": "0.28.0", "torchmetrics": "1.9.0"} | {name: found}
    monkeypatch.setattr("pytest_diffopt.probes.lpips.version", versions.__getitem__)

    assert refusal() == (
        f'LPIPS needs {name} {oldest} or newer, and {found} is installed: pip install "pytest-diffopt[lpips]"'
    )


@pytest.mark.parametrize(
    ("name", "module", "version"),
    [("torchvision", "torchvision", "0.28.0"), ("torchmetrics", "torchmetrics.functional.image", "1.9.0")],
)
@pytest.mark.usefixtures("weights")
def test_a_package_that_cannot_be_imported_is_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, version: str
) -> None:
    """The message has its error in one line, as raised by a CUDA build with a CPU-only torch."""

    def imported(asked: str) -> Any:
        if asked == module:
            msg = "operator torchvision::nms does not exist\nand more"
            raise RuntimeError(msg)
        return __import__(asked)

    monkeypatch.setattr("pytest_diffopt.probes.lpips.import_module", imported)

    assert refusal() == (
        f"LPIPS needs {name}, but {name} {version} cannot be imported with torch {torch.__version__}: "
        "RuntimeError: operator torchvision::nms does not exist; "
        "install the build for this torch, from the index from which torch was installed"
    )


def test_missing_weights_are_reported_and_not_fetched(weights: Path) -> None:
    """The message has the expected file and the command that fetches it; no file is created."""
    weights.unlink()

    assert refusal() == f"LPIPS needs AlexNet's weights, but {weights} does not exist; fetch it once: {FETCH}"
    assert list(weights.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (EOFError("Ran out of input"), "EOFError: Ran out of input"),
        (OSError("Input/output error"), "OSError: Input/output error"),
        (RuntimeError("no zip archive:\nat all"), "RuntimeError: no zip archive"),
        (UnpicklingError("invalid load key"), "UnpicklingError: invalid load key"),
    ],
)
def test_weights_that_cannot_be_read_are_reported(
    monkeypatch: pytest.MonkeyPatch, weights: Path, error: Exception, shown: str
) -> None:
    """The message has the file, torch's error in one line, and how to fetch it again."""

    def fail(*_images: torch.Tensor, **_options: object) -> None:
        raise error

    module = "torchmetrics.functional.image"
    fake_lpips.module(monkeypatch, module, learned_perceptual_image_patch_similarity=fail)

    assert refusal() == (
        f"LPIPS cannot be computed with AlexNet's weights in {weights}: {shown}; "
        f"if the file is corrupt, remove it and fetch it again: {FETCH}"
    )


@pytest.mark.usefixtures("weights")
def test_images_too_small_for_alexnet_are_refused() -> None:
    """Its second pooling needs at least 31 pixels; images of that size are accepted."""
    assert refusal(noise(1, size=30)) == (
        "images must be at least 31 x 31 pixels for LPIPS, got: (30, 30); remove max_lpips"
    )
    assert lpips_of(noise(1, size=31), noise(1, size=31)) == (0.0,)


def weights_file(torch_home: Path) -> Path:
    """Return the file in which torchvision caches AlexNet's weights."""
    url = import_module("torchvision").models.AlexNet_Weights.IMAGENET1K_V1.url
    file = torch_home / "hub/checkpoints" / Path(url).name
    file.parent.mkdir(parents=True)
    return file


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Build an AlexNet with random weights, and store them in torchvision's cache."""
    file = weights_file(tmp_path_factory.mktemp("torch_home"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = import_module("torchvision").models.alexnet(weights=None)
    torch.save(network.state_dict(), file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(file.parents[2]))
        yield network.features.eval()
    file.unlink()  # 233 MiB, which pytest would keep


def published_lpips(alexnet: Any, image: Pixels, reference: Pixels) -> float:
    """Compute LPIPS by its formula (Zhang et al. 2018, equation 1), with torchmetrics' linear weights."""
    import torchmetrics.functional.image.lpips as shipped  # noqa: PLC0415 - optional dependency

    linear = torch.load(Path(shipped.__file__).with_name("lpips_models") / "alex.pth", map_location="cpu")
    # mean and standard deviation of ImageNet's colors, scaled to [-1, 1]
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    seen = [(torch.from_numpy(one).float() * 2 - 1 - shift) / scale for one in (image, reference)]
    ours, theirs = (one.permute(2, 0, 1)[None] for one in seen)
    total, layer = 0.0, 0
    with torch.no_grad():
        for module in alexnet:
            ours, theirs = module(ours), module(theirs)
            if not isinstance(module, torch.nn.ReLU):
                continue
            unit, other = (one / one.square().sum(dim=1, keepdim=True).add(1e-8).sqrt() for one in (ours, theirs))
            weights = linear[f"lin{layer}.model.1.weight"]
            total += (weights * (unit - other).square()).sum(dim=1).mean().item()
            layer += 1
    assert layer == 5
    return total


@pytest.mark.needs("lpips")
def test_lpips_is_as_published(alexnet: Any) -> None:
    """Unit-normalized features of five layers, squared differences, linear weights, spatial mean, sum."""
    ours, theirs = noise(1, number=2, size=64), noise(2, number=2, size=64)
    ours[1] = np.clip(theirs[1] + 0.05 * (ours[1] - 0.5), 0.0, 1.0)
    far, near = lpips_of(ours, theirs)

    assert far == pytest.approx(published_lpips(alexnet, ours[0], theirs[0]), rel=1e-4)
    assert near == pytest.approx(published_lpips(alexnet, ours[1], theirs[1]), rel=1e-4)
    assert 0.0 < near < far
    assert lpips_of(theirs, theirs) == (0.0, 0.0)


@pytest.mark.needs("lpips")
@pytest.mark.usefixtures("alexnet")
def test_the_real_packages_accept_the_smallest_image_and_keep_the_random_state() -> None:
    """The same properties are tested above with fakes."""
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)

    assert lpips_of(noise(1, size=31), noise(1, size=31)) == (0.0,)
    assert torch.rand(1) == expected


@pytest.mark.needs("lpips")
def test_the_real_packages_report_corrupt_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty file, another file type, a truncated file, or weights of another network."""
    file = weights_file(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    other = BytesIO()
    torch.save({"weight": torch.ones(1000)}, other)

    for content in (b"", b"<html>not found</html>", other.getvalue()[:1000], other.getvalue()):
        file.write_bytes(content)
        message = refusal()
        assert message.startswith(f"LPIPS cannot be computed with AlexNet's weights in {file}: ")
        assert message.endswith(f"; if the file is corrupt, remove it and fetch it again: {FETCH}")
