"""The tiny components: their weights are there, are those that were trained, and weigh what was promised."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines import tiny

SHIPPED = Path(str(tiny.WEIGHTS))
COMPONENTS = sorted(path.stem for path in Path(str(files("pytest_diffopt.pipelines") / "configs" / "tiny")).iterdir())


@pytest.fixture
def copied_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with one component's weights that a test may spoil."""
    for name in ("taesd.safetensors", tiny.PROVENANCE):
        shutil.copy(SHIPPED / name, tmp_path)
    monkeypatch.setattr(tiny, "WEIGHTS", tmp_path)
    tiny.provenance.cache_clear()
    monkeypatch.setattr(tiny, "provenance", tiny.provenance.__wrapped__)
    return tmp_path


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_architecture_has_weights_of_known_origin(name: str) -> None:
    """In float32, with as many parameters as its provenance says, none of them broken."""
    component = tiny.build_tiny_component(name)
    parameters = list(component.parameters())

    assert sum(parameter.numel() for parameter in parameters) == tiny.provenance()[name]["parameters"]
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert all(parameter.isfinite().all() for parameter in parameters)
    assert not component.training


def test_provenance_tells_of_every_component_and_of_nothing_else() -> None:
    """Script, revision, seed, steps and loss of each."""
    known = tiny.provenance()

    assert sorted(known) == COMPONENTS
    assert all({"script", "revision", "seed", "steps", "loss", "sha256"} <= set(record) for record in known.values())


def test_all_weights_together_are_small() -> None:
    """They travel with the package: at most 15 MB."""
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.safetensors")) <= 15_000_000


def test_missing_weights_are_named(copied_weights: Path) -> None:
    """Never a silent fallback to random ones."""
    (copied_weights / "taesd.safetensors").unlink()

    with pytest.raises(PipelineError) as error:
        tiny.build_tiny_component("taesd")

    assert str(error.value) == (
        f"the tiny pipelines' weights are missing: {copied_weights}/taesd.safetensors: No such file or directory; "
        "reinstall pytest-diffopt, or train them again with tools/train_tiny.py"
    )


def test_altered_weights_are_named(copied_weights: Path) -> None:
    """One byte is enough."""
    path = copied_weights / "taesd.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    expected = json.loads((SHIPPED / tiny.PROVENANCE).read_text())["taesd"]["sha256"]

    with pytest.raises(PipelineError) as error:
        tiny.build_tiny_component("taesd")

    assert str(error.value) == (
        f"the tiny pipelines' weights were altered: {path} has SHA-256 {tiny.checksum(bytes(content))[:12]}, "
        f"provenance.json says {expected[:12]}; reinstall pytest-diffopt, or train them again with tools/train_tiny.py"
    )


def test_a_missing_provenance_is_named(copied_weights: Path) -> None:
    """Weights of unknown origin are not used."""
    (copied_weights / tiny.PROVENANCE).unlink()

    with pytest.raises(PipelineError, match=r"the tiny pipelines' weights are of unknown origin: .*provenance\.json"):
        tiny.build_tiny_component("taesd")


def test_an_unknown_component_is_named_with_the_nearest() -> None:
    """As a pipeline is."""
    with pytest.raises(PipelineError) as error:
        tiny.build_tiny_component("sd15-unett")

    assert str(error.value).startswith(
        "no tiny component is called 'sd15-unett' (did you mean 'sd15-unet'?); known: bk-sdm-unet, "
    )
