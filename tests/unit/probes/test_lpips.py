"""LPIPS as published where its packages are; where they are not, what is missing and what to do."""

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
from tests import lpips_stand_ins

Pixels = npt.NDArray[np.float64]
FETCH = """python -c 'from torchvision.models import alexnet; alexnet(weights="DEFAULT")'"""


def noise(seed: int, *, number: int = 1, size: int = 32, channels: int = 3) -> Pixels:
    """Draw images."""
    return np.random.default_rng(seed).random((number, size, size, channels))


def refusal(images: Pixels | None = None) -> str:
    """Return what is said where LPIPS cannot be measured."""
    images = noise(1) if images is None else images
    with pytest.raises(ProbeError) as error:
        lpips_of(images, images)
    return str(error.value)


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Pretend that both packages are installed; return the file of AlexNet's weights."""
    return lpips_stand_ins.install(monkeypatch, tmp_path)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_image_has_a_figure_of_its_own(number: int, channels: int) -> None:
    """In order, of three channels: grey is taken for a color, and transparency is left out."""
    ours, theirs = (noise(seed, number=number, channels=channels) for seed in (1, 2))
    errors = ((ours - theirs)[..., :3] ** 2).mean(axis=(1, 2, 3))

    assert lpips_of(ours, theirs) == pytest.approx(errors.tolist(), rel=1e-5)
    assert lpips_of(ours, ours) == (0.0,) * number


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_has_no_figure(value: float) -> None:
    """A NaN must not be clipped into a good one, and the others of its batch keep theirs."""
    broken, whole = noise(1, number=2), noise(1, number=2)
    broken[1, 3, 3, 0] = value

    for first, second in (lpips_of(broken, whole), lpips_of(whole, broken)):
        assert first == 0.0
        assert np.isnan(second)


@pytest.mark.usefixtures("weights")
def test_it_is_a_figure_of_a_record_where_it_is_asked_for() -> None:
    """And None of any other."""
    compare = partial(compare_images, noise(1, number=2), noise(2, number=2), Subject(pipeline="sdxl"))

    assert tuple(one.lpips for one in compare(with_lpips=True).differences) == lpips_of(
        noise(1, number=2), noise(2, number=2)
    )
    assert [one.lpips for one in compare().differences] == [None, None]


@pytest.mark.usefixtures("weights")
def test_the_tests_own_random_numbers_and_device_stay_as_they_are() -> None:
    """A network draws random weights before it reads its own, and it is made on the CPU."""
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
    """With the command that installs both."""

    def version(asked: str) -> str:
        if asked == name:
            raise metadata.PackageNotFoundError
        return "9.9"

    monkeypatch.setattr("pytest_diffopt.probes.lpips.version", version)

    assert refusal() == (
        f'LPIPS needs {name}, which is not installed: pip install "pytest-diffopt[lpips]", or leave max_lpips out'
    )


@pytest.mark.parametrize(
    ("name", "oldest", "found"), [("torchvision", "0.26", "0.25.0+cpu"), ("torchmetrics", "1.8", "1.7.4")]
)
@pytest.mark.usefixtures("weights")
def test_a_package_that_is_too_old_is_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, oldest: str, found: str
) -> None:
    """With both versions and the command."""
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
def test_a_package_that_does_not_import_is_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, version: str
) -> None:
    """With its own error in one line: a build for CUDA beside a torch without it says no more than this."""

    def imported(asked: str) -> Any:
        if asked == module:
            msg = "operator torchvision::nms does not exist\nand more"
            raise RuntimeError(msg)
        return __import__(asked)

    monkeypatch.setattr("pytest_diffopt.probes.lpips.import_module", imported)

    assert refusal() == (
        f"LPIPS needs {name}, and {name} {version} does not import beside torch {torch.__version__}: "
        "RuntimeError: operator torchvision::nms does not exist; "
        "install the build that goes with this torch, from the index that torch came from"
    )


def test_missing_weights_are_reported_and_not_fetched(weights: Path) -> None:
    """The file that is looked for, and the one command that fetches it; nothing is left in its place."""
    weights.unlink()

    assert refusal() == f"LPIPS needs AlexNet's weights, and there is no file {weights}; fetch it once: {FETCH}"
    assert list(weights.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EOFError("Ran out of input"), "EOFError: Ran out of input"),
        (OSError("Input/output error"), "OSError: Input/output error"),
        (RuntimeError("no zip archive:\nat all"), "RuntimeError: no zip archive"),
        (UnpicklingError("invalid load key"), "UnpicklingError: invalid load key"),
    ],
)
def test_weights_that_cannot_be_read_are_reported(
    monkeypatch: pytest.MonkeyPatch, weights: Path, error: Exception, said: str
) -> None:
    """The file, torch's own words in one line, and how to have it again."""

    def fail(*_images: torch.Tensor, **_options: object) -> None:
        raise error

    module = "torchmetrics.functional.image"
    lpips_stand_ins.module(monkeypatch, module, learned_perceptual_image_patch_similarity=fail)

    assert refusal() == (
        f"LPIPS cannot be computed with AlexNet's weights in {weights}: {said}; "
        f"if the file is broken, remove it and fetch it again: {FETCH}"
    )


@pytest.mark.usefixtures("weights")
def test_images_too_small_for_alexnet_are_refused() -> None:
    """Its second pooling sees nothing of fewer than 31 pixels; at that size it works."""
    assert refusal(noise(1, size=30)) == (
        "images must be at least 31 x 31 pixels for LPIPS, got: (30, 30); leave max_lpips out"
    )
    assert lpips_of(noise(1, size=31), noise(1, size=31)) == (0.0,)


def installed_torchvision() -> Any:
    """Import torchvision, or skip the test where both packages are not there, or are of a build for another torch."""
    pytest.importorskip("torchmetrics")
    try:
        return import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not import: {error}")


def weights_file(torch_home: Path) -> Path:
    """Return the file where torchvision looks for AlexNet's weights before it fetches them."""
    url = installed_torchvision().models.AlexNet_Weights.IMAGENET1K_V1.url
    file = torch_home / "hub/checkpoints" / Path(url).name
    file.parent.mkdir(parents=True)
    return file


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Make an AlexNet of random weights, and put them where torchvision looks for its own."""
    file = weights_file(tmp_path_factory.mktemp("torch_home"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = installed_torchvision().models.alexnet(weights=None)
    torch.save(network.state_dict(), file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(file.parents[2]))
        yield network.features.eval()
    file.unlink()  # a quarter of a gigabyte, which pytest would keep


def published_lpips(alexnet: Any, image: Pixels, reference: Pixels) -> float:
    """Work LPIPS out by the formula (Zhang et al. 2018, equation 1) with the linear weights that torchmetrics ships."""
    import torchmetrics.functional.image.lpips as shipped  # noqa: PLC0415 - an extra

    linear = torch.load(Path(shipped.__file__).with_name("lpips_models") / "alex.pth", map_location="cpu")
    # the mean and deviation of ImageNet's colors, in a range of [-1, 1]
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


def test_the_figure_is_as_published(alexnet: Any) -> None:
    """Unit-normalized features of five layers, squared differences, linear weights, mean over places, sum."""
    ours, theirs = noise(1, number=2, size=64), noise(2, number=2, size=64)
    ours[1] = np.clip(theirs[1] + 0.05 * (ours[1] - 0.5), 0.0, 1.0)
    far, near = lpips_of(ours, theirs)

    assert far == pytest.approx(published_lpips(alexnet, ours[0], theirs[0]), rel=1e-4)
    assert near == pytest.approx(published_lpips(alexnet, ours[1], theirs[1]), rel=1e-4)
    assert 0.0 < near < far
    assert lpips_of(theirs, theirs) == (0.0, 0.0)


@pytest.mark.usefixtures("alexnet")
def test_the_networks_of_the_packages_take_the_smallest_image_and_leave_the_random_numbers() -> None:
    """What is promised of the stand-ins holds for them."""
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)

    assert lpips_of(noise(1, size=31), noise(1, size=31)) == (0.0,)
    assert torch.rand(1) == expected


def test_broken_weights_of_the_packages_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Empty, another kind of file, cut off, or another network's: no bare traceback of torch's."""
    file = weights_file(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    other = BytesIO()
    torch.save({"weight": torch.ones(1000)}, other)

    for content in (b"", b"<html>not found</html>", other.getvalue()[:1000], other.getvalue()):
        file.write_bytes(content)
        said = refusal()
        assert said.startswith(f"LPIPS cannot be computed with AlexNet's weights in {file}: ")
        assert said.endswith(f"; if the file is broken, remove it and fetch it again: {FETCH}")
