"""Weights are searched in a fixed order, and random weights come with a reason. No test uses the network."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import GatedRepoError

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines import loading
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.loading import WeightSource, build_pipeline, find_weights
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sdxl import SDXL
from pytest_diffopt.records import Weights
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

HUB_ID = "somebody/some-model"
PRETRAINED, RANDOM = Weights.PRETRAINED, Weights.RANDOM


class Built:
    """A stand-in for a pipeline: it has weights, a progress bar and `to`."""

    def __init__(self) -> None:
        self.weights = torch.rand(3)
        self.done: list[object] = []

    def set_progress_bar_config(self, **config: object) -> None:
        """Record the configuration."""
        self.done.append(config)

    def to(self, device: str) -> "Built":
        """Record the device."""
        self.done.append(device)
        return self


FAMILY = PipelineFamily(
    name="sdxl",
    hub_id=HUB_ID,
    class_name="StableDiffusionXLPipeline",
    build_tiny=Built,
    build_random=Built,
    inputs=lambda _scale: PipelineInputs({}),
    variations=lambda _scale: (),
    load_options=lambda: {"add_watermarker": False},
)


def source(weights: Weights, path: str, origin: str) -> WeightSource:
    """Return a source of weights."""
    return WeightSource(weights=weights, path=path, origin=origin)


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the hub by one that answers and has an empty cache, online; return the ids that it is queried for."""
    queried: list[str] = []

    def answer(_api: object, hub_id: str, *, timeout: float) -> None:
        assert timeout == 3.0
        queried.append(hub_id)

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _hub_id, _name: None)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", answer)
    return queried


def test_a_tiny_pipeline_needs_no_weights(hub: list[str], tmp_path: Path) -> None:
    """A folder with weights is not used."""
    (tmp_path / "sdxl").mkdir()

    assert find_weights(FAMILY, Scale.TINY, tmp_path) == source(Weights.OWN, "", "the user's own")
    assert find_weights(SDXL, Scale.TINY, tmp_path) == source(PRETRAINED, "", "trained, shipped with pytest-diffopt")
    assert hub == []


def test_a_local_folder_comes_first(hub: list[str], tmp_path: Path) -> None:
    """It contains each pipeline under its name."""
    (tmp_path / "sdxl").mkdir()

    assert find_weights(FAMILY, Scale.FULL, tmp_path) == source(
        PRETRAINED, str(tmp_path / "sdxl"), f"from {tmp_path / 'sdxl'}"
    )
    assert hub == []


def test_cached_weights_are_used_without_querying_the_hub(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """This includes a weights folder that does not contain the pipeline."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda hub_id, name: f"/cache/{hub_id}/{name}")

    assert find_weights(FAMILY, Scale.FULL, Path("/nowhere")) == source(
        PRETRAINED, HUB_ID, f"{HUB_ID} from the hub's cache"
    )
    assert hub == []


def test_a_file_that_the_cache_marks_as_missing_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's cache marks a missing file with an object that is not a path."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _hub_id, _name: object())

    assert find_weights(FAMILY, Scale.FULL).origin == f"{HUB_ID} from the hub"


def test_the_hub_is_queried_last(hub: list[str]) -> None:
    """It is queried once, with a short timeout."""
    assert find_weights(FAMILY, Scale.FULL) == source(PRETRAINED, HUB_ID, f"{HUB_ID} from the hub")
    assert hub == [HUB_ID]


def test_the_hub_is_not_queried_for_the_header(hub: list[str]) -> None:
    """The session header does not use the network."""
    assert find_weights(FAMILY, Scale.FULL, may_ask_hub=False) == source(
        RANDOM, "", f"{HUB_ID} if the hub answers, else random"
    )
    assert hub == []


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_the_hub_is_not_queried_offline(hub: list[str], monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The weights are random, with that reason."""
    monkeypatch.setenv("HF_HUB_OFFLINE", value)

    assert find_weights(FAMILY, Scale.FULL) == source(
        RANDOM, "", f"random: {HUB_ID} is not cached and HF_HUB_OFFLINE is set"
    )
    assert hub == []


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_offline_can_be_set_to_false(hub: list[str], monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A false value has the same effect as an unset variable."""
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    find_weights(FAMILY, Scale.FULL)

    assert hub == [HUB_ID]


@pytest.mark.parametrize("error", [ConnectionError("no route"), TimeoutError(), ValueError("no such model")])
def test_an_unavailable_hub_leads_to_random_weights(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The pipeline is built on any network error, and its origin gives the reason."""

    def fail(_api: object, _hub_id: str, *, timeout: float) -> None:
        assert timeout
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    built = build_pipeline(FAMILY, Scale.FULL)

    assert isinstance(built.pipeline, Built)
    assert built.weights is RANDOM
    assert built.origin == f"random: {HUB_ID} is not cached and the hub did not serve it ({type(error).__name__})"


def test_random_weights_are_seeded() -> None:
    """Two builds are equal, and the state of torch's default generator does not change."""
    before = torch.get_rng_state()
    first, second = (build_pipeline(FAMILY, Scale.TINY).pipeline for _ in range(2))

    assert torch.equal(first.weights, second.weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_built_pipeline_has_no_progress_bar_and_is_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pipeline is built on its device, a tiny one on the CPU, so that its weights are the same on each."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tiny = build_pipeline(FAMILY, Scale.TINY, device="meta").pipeline
    full = build_pipeline(FAMILY, Scale.FULL, device="meta").pipeline

    assert tiny.done == full.done == [{"disable": True}, "meta"]
    assert (tiny.weights.device.type, full.weights.device.type) == ("cpu", "meta")


def test_a_saved_pipeline_is_loaded_from_its_folder(tmp_path: Path) -> None:
    """It draws the same image as the saved pipeline."""
    saved = tiny_sdxl()
    saved.save_pretrained(tmp_path / "sdxl")
    built = build_pipeline(FAMILY, Scale.FULL, weights_folder=tmp_path)

    assert (built.weights, built.origin) == (PRETRAINED, f"from {tmp_path / 'sdxl'}")
    # The files are memory-mapped, and another alignment selects other kernels.
    assert np.allclose(built.pipeline(**INPUTS).images, saved(**INPUTS).images, atol=1e-5)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (None, "not a saved pipeline, model_index.json is missing"),
        ("{", "model_index.json has no valid _class_name"),
        ("[]", "model_index.json has no valid _class_name"),
        ('{"_class_name": "FluxPipeline"}', "it is a FluxPipeline, not a StableDiffusionXLPipeline"),
    ],
)
def test_a_folder_without_a_valid_pipeline_is_an_error(tmp_path: Path, index: str | None, reason: str) -> None:
    """Random weights in place of the user's would hide that the folder is broken."""
    folder = tmp_path / "sdxl"
    folder.mkdir()
    if index is not None:
        (folder / "model_index.json").write_text(index)

    with pytest.raises(PipelineError) as error:
        build_pipeline(FAMILY, Scale.FULL, weights_folder=tmp_path)

    assert str(error.value) == (
        f"sdxl could not be loaded from {folder}: {reason}; "
        f"save one there with pipeline.save_pretrained('{folder}'), or remove the folder"
    )


def test_a_saved_pipeline_without_its_weights_is_an_error(tmp_path: Path) -> None:
    """The folder has an index; the message names the missing file."""
    tiny_sdxl().save_pretrained(tmp_path / "sdxl")
    (tmp_path / "sdxl" / "unet" / "diffusion_pytorch_model.safetensors").unlink()

    with pytest.raises(PipelineError, match=r"sdxl could not be loaded from .*: OSError: .*diffusion_pytorch_model"):
        build_pipeline(FAMILY, Scale.FULL, weights_folder=tmp_path)


def test_an_incomplete_download_is_an_error(tmp_path: Path) -> None:
    """The cache has the index but not the weights; the message shows how to finish or remove the download."""
    snapshot = tmp_path / "models--somebody--some-model" / "snapshots" / "0"
    tiny_sdxl().save_pretrained(snapshot)
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (tmp_path / "models--somebody--some-model" / "refs").mkdir()
    (tmp_path / "models--somebody--some-model" / "refs" / "main").write_text("0")
    script = (
        "from tests.unit.pipelines.test_loading import FAMILY, Scale, build_pipeline\n"
        "build_pipeline(FAMILY, Scale.FULL)"
    )
    # huggingface_hub reads the location of its cache and the offline flag once, at import.
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)

    assert "PipelineError: sdxl could not be loaded somebody/some-model from the hub's cache: " in run.stderr
    assert (
        "  the download in the hub's cache is incomplete: finish it with `hf download somebody/some-model`, "
        "or remove it with `hf cache rm model/somebody/some-model`"
    ) in run.stderr


def test_a_gated_model_is_an_error_with_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub answers queries about such a model but refuses its files, so the error appears while loading."""
    refusal = GatedRepoError.__new__(GatedRepoError)  # its constructor needs a response of the hub's HTTP client

    class Loader:
        @classmethod
        def from_pretrained(cls, path: str, **options: Any) -> Built:
            raise OSError(path, options) from refusal

    monkeypatch.setattr("diffusers.StableDiffusionXLPipeline", Loader)
    with pytest.raises(PipelineError) as error:
        build_pipeline(FAMILY, Scale.FULL)

    headline, advice = str(error.value).splitlines()
    assert headline.startswith(f"sdxl could not be loaded {HUB_ID} from the hub: OSError: ")
    assert advice == (
        f"  the repository is gated: accept its terms at https://huggingface.co/{HUB_ID}, "
        "then log in with `hf auth login` or set HF_TOKEN; for random weights set HF_HUB_OFFLINE=1"
    )


def test_every_needed_repository_is_searched(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached pipeline without its cached VAE cannot be loaded from the cache."""
    family = replace(FAMILY, more_hub_ids=("somebody/a-vae",))
    monkeypatch.setattr(loading, "_is_cached", lambda hub_id: hub_id == HUB_ID)

    assert find_weights(family, Scale.FULL).origin == f"{HUB_ID} from the hub"
    assert hub == ["somebody/a-vae"]


def test_a_chain_is_loaded_if_each_stage_can_be(hub: list[str], tmp_path: Path) -> None:
    """If one stage has no weights, all stages have random weights."""
    first, second = (replace(FAMILY, name=name, hub_id=f"somebody/{name}") for name in ("first", "second"))
    chain = replace(FAMILY, name="both", hub_id="", stages=(first, second), chain=lambda *stages: stages)
    (tmp_path / "first").mkdir()
    partly = find_weights(chain, Scale.FULL, tmp_path, may_ask_hub=False)
    (tmp_path / "second").mkdir()
    fully = find_weights(chain, Scale.FULL, tmp_path)

    assert partly == source(RANDOM, "", "somebody/second if the hub answers, else random")
    assert (fully.weights, fully.origin) == (PRETRAINED, f"from {tmp_path / 'first'}, from {tmp_path / 'second'}")
    assert [stage.path for stage in fully.stages] == [str(tmp_path / "first"), str(tmp_path / "second")]
    assert hub == []


@pytest.mark.parametrize(("scale", "keyword"), [(Scale.TINY, "build_tiny"), (Scale.FULL, "build_random")])
def test_a_scale_that_a_family_lacks_is_an_error(scale: Scale, keyword: str) -> None:
    """The message names the keyword that adds it."""
    family = replace(FAMILY, hub_id="", build_tiny=None, build_random=None)

    with pytest.raises(PipelineError) as error:
        build_pipeline(family, scale)

    assert str(error.value) == (f"pipeline 'sdxl' has no {scale} scale without weights: register it with {keyword}=...")


def test_load_options_are_passed_to_from_pretrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function is called when the pipeline is loaded."""
    given: dict[str, Any] = {}

    class Loader:
        @classmethod
        def from_pretrained(cls, path: str, **options: Any) -> Built:
            given.update(options, path=path)
            return Built()

    monkeypatch.setattr("diffusers.StableDiffusionXLPipeline", Loader)
    monkeypatch.setattr(loading, "_is_cached", lambda _hub_id: True)
    build_pipeline(FAMILY, Scale.FULL)

    assert given == {"path": FAMILY.hub_id, "add_watermarker": False}
