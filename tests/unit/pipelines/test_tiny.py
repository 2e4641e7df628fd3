"""The tiny components: their weights are present, unaltered and within the size limit."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines import tiny

SHIPPED = Path(str(tiny.WEIGHTS))
RANDOM = (
    *("flux2-klein-", "qwen-image-", "chroma-", "sana-", "sd35-"),
    *("ltx2-", "hunyuan-video-", "cogvideox-"),
)
COMPONENTS = sorted(
    path.stem
    for path in Path(str(files("pytest_diffopt.pipelines") / "configs" / "tiny")).iterdir()
    if not path.stem.startswith(RANDOM)
)


@pytest.fixture
def copied_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a copy of one component's weights that a test can alter."""
    for name in ("taesd.safetensors", tiny.PROVENANCE):
        shutil.copy(SHIPPED / name, tmp_path)
    monkeypatch.setattr(tiny, "WEIGHTS", tmp_path)
    tiny.provenance.cache_clear()
    monkeypatch.setattr(tiny, "provenance", tiny.provenance.__wrapped__)
    return tmp_path


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_architecture_has_weights_with_provenance(name: str) -> None:
    """The weights that are not random are finite, in float32, and as many as the provenance records."""
    component = tiny.build_tiny_component(name)
    parameters = list(component.parameters())

    assert sum(parameter.numel() for parameter in parameters) == tiny.provenance()[name]["parameters"]
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert all(parameter.isfinite().all() for parameter in parameters)
    assert not component.training


def test_provenance_covers_exactly_the_components() -> None:
    """Each record has script, revision, seed, steps, loss and checksum."""
    known = tiny.provenance()

    assert sorted(known) == COMPONENTS
    assert all({"script", "revision", "seed", "steps", "loss", "sha256"} <= set(record) for record in known.values())


def test_all_weights_together_are_small() -> None:
    """The package includes them: at most 20 MB."""
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.safetensors")) <= 20_000_000


def test_missing_weights_are_named(copied_weights: Path) -> None:
    """There is no silent fallback to random weights."""
    (copied_weights / "taesd.safetensors").unlink()

    with pytest.raises(PipelineError) as error:
        tiny.build_tiny_component("taesd")

    assert str(error.value) == (
        f"the tiny pipelines' weights are missing: {copied_weights}/taesd.safetensors: No such file or directory; "
        "reinstall pytest-diffopt, or train the weights again with tools/train_tiny.py"
    )


def test_altered_weights_are_named(copied_weights: Path) -> None:
    """One altered byte is detected."""
    path = copied_weights / "taesd.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    expected = json.loads((SHIPPED / tiny.PROVENANCE).read_text())["taesd"]["sha256"]

    with pytest.raises(PipelineError) as error:
        tiny.build_tiny_component("taesd")

    assert str(error.value) == (
        f"the tiny pipelines' weights were altered: {path} has SHA-256 {tiny.checksum(bytes(content))[:12]}, "
        f"expected {expected[:12]} (provenance.json); "
        "reinstall pytest-diffopt, or train the weights again with tools/train_tiny.py"
    )


def test_a_missing_provenance_is_named(copied_weights: Path) -> None:
    """Weights without provenance are not used."""
    (copied_weights / tiny.PROVENANCE).unlink()

    message = r"the provenance of the tiny pipelines' weights could not be read: .*provenance\.json"
    with pytest.raises(PipelineError, match=message):
        tiny.build_tiny_component("taesd")


def test_an_unknown_component_is_an_error_with_the_closest_name() -> None:
    """The message lists the known components too."""
    with pytest.raises(PipelineError) as error:
        tiny.build_tiny_component("sd15-unett")

    assert str(error.value).startswith(
        "unknown tiny component: 'sd15-unett' (did you mean 'sd15-unet'?); known: bk-sdm-unet, "
    )
