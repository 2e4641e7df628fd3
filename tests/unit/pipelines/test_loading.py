"""Weights are looked for in one order, and where there are none the reason is told. No test asks the network."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines import loading
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.loading import WeightSource, build_pipeline, find_weights
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Weights
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

HUB_ID = "somebody/some-model"
PRETRAINED, RANDOM = Weights.PRETRAINED, Weights.RANDOM


class Built:
    """What a family builds here: something that has weights, and can be silenced and moved."""

    def __init__(self) -> None:
        self.weights = torch.rand(3)
        self.done: list[object] = []

    def set_progress_bar_config(self, **config: object) -> None:
        """Write down what was asked."""
        self.done.append(config)

    def to(self, device: str) -> "Built":
        """Write down where it goes."""
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
    """Describe where weights come from."""
    return WeightSource(weights=weights, path=path, origin=origin)


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the hub answer from here, its cache be empty, and nobody be told to stay offline; return who asked it."""
    asked: list[str] = []

    def answer(_api: object, hub_id: str, *, timeout: float) -> None:
        assert timeout == 3.0
        asked.append(hub_id)

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _hub_id, _name: None)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", answer)
    return asked


def test_a_tiny_pipeline_needs_no_weights(hub: list[str], tmp_path: Path) -> None:
    """Not even a folder that has some is looked at."""
    (tmp_path / "sdxl").mkdir()

    assert find_weights(FAMILY, Scale.TINY, tmp_path) == source(RANDOM, "", "random, seeded (tiny)")
    assert hub == []


def test_a_local_folder_comes_first(hub: list[str], tmp_path: Path) -> None:
    """It holds each pipeline under its name."""
    (tmp_path / "sdxl").mkdir()

    assert find_weights(FAMILY, Scale.FULL, tmp_path) == source(
        PRETRAINED, str(tmp_path / "sdxl"), f"from {tmp_path / 'sdxl'}"
    )
    assert hub == []


def test_what_is_cached_is_taken_without_asking(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a folder was named that does not hold this pipeline."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda hub_id, name: f"/cache/{hub_id}/{name}")

    assert find_weights(FAMILY, Scale.FULL, Path("/nowhere")) == source(
        PRETRAINED, HUB_ID, f"{HUB_ID} from the hub's cache"
    )
    assert hub == []


def test_a_cache_that_knows_of_a_missing_file_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's cache marks a file that it found missing with an object that is no path."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _hub_id, _name: object())

    assert find_weights(FAMILY, Scale.FULL).origin == f"{HUB_ID} from the hub"


def test_the_hub_is_asked_last(hub: list[str]) -> None:
    """Once, within a short time."""
    assert find_weights(FAMILY, Scale.FULL) == source(PRETRAINED, HUB_ID, f"{HUB_ID} from the hub")
    assert hub == [HUB_ID]


def test_the_hub_is_left_alone_where_it_may_not_be_asked(hub: list[str]) -> None:
    """A header that only says what would happen waits for no network."""
    assert find_weights(FAMILY, Scale.FULL, may_ask_hub=False) == source(
        RANDOM, "", f"{HUB_ID} if the hub answers, else random"
    )
    assert hub == []


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_means_offline(hub: list[str], monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The network is not touched, and the weights are random for that reason."""
    monkeypatch.setenv("HF_HUB_OFFLINE", value)

    assert find_weights(FAMILY, Scale.FULL) == source(
        RANDOM, "", f"random: {HUB_ID} is not cached and HF_HUB_OFFLINE is set"
    )
    assert hub == []


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_offline_can_be_said_to_be_off(hub: list[str], monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A variable that is set to no is not set."""
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    find_weights(FAMILY, Scale.FULL)

    assert hub == [HUB_ID]


@pytest.mark.parametrize("error", [ConnectionError("no route"), TimeoutError(), ValueError("no such model")])
def test_a_silent_hub_means_random_weights_with_the_reason(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever the network does, the pipeline is built, and says why it is not the published one."""

    def fail(_api: object, _hub_id: str, *, timeout: float) -> None:
        assert timeout
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    built = build_pipeline(FAMILY, Scale.FULL)

    assert isinstance(built.pipeline, Built)
    assert built.weights is RANDOM
    assert built.origin == f"random: {HUB_ID} is not cached and the hub did not serve it ({type(error).__name__})"


def test_random_weights_are_seeded_and_torchs_own_generator_is_left_alone() -> None:
    """Two builds are equal, and a test that draws afterwards draws what it would have drawn."""
    before = torch.get_rng_state()
    first, second = (build_pipeline(FAMILY, Scale.TINY).pipeline for _ in range(2))

    assert torch.equal(first.weights, second.weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_built_pipeline_is_silent_and_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full one is built where it will run, a tiny one on the CPU, so that its weights are the same everywhere."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tiny = build_pipeline(FAMILY, Scale.TINY, device="meta").pipeline
    full = build_pipeline(FAMILY, Scale.FULL, device="meta").pipeline

    assert tiny.done == full.done == [{"disable": True}, "meta"]
    assert (tiny.weights.device.type, full.weights.device.type) == ("cpu", "meta")


def test_a_saved_pipeline_is_loaded_from_its_folder(tmp_path: Path) -> None:
    """What was saved draws the same picture again."""
    saved = tiny_sdxl()
    saved.save_pretrained(tmp_path / "sdxl")
    built = build_pipeline(FAMILY, Scale.FULL, weights_folder=tmp_path)

    assert (built.weights, built.origin) == (PRETRAINED, f"from {tmp_path / 'sdxl'}")
    assert (built.pipeline(**INPUTS).images == saved(**INPUTS).images).all()


def test_a_folder_that_is_no_pipeline_is_an_error(tmp_path: Path) -> None:
    """Somebody meant these weights: random ones in their place would hide that they are broken."""
    folder = tmp_path / "sdxl"
    folder.mkdir()

    with pytest.raises(PipelineError) as error:
        build_pipeline(FAMILY, Scale.FULL, weights_folder=tmp_path)

    assert str(error.value).startswith(f"sdxl could not be loaded from {folder}: ")
    assert str(folder) in str(error.value.__cause__)


def test_a_family_may_name_options_for_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made when they are needed, and given to `from_pretrained`."""
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
