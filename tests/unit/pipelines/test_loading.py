"""Where weights come from: a local folder, the hub, or nowhere, and then the reason is told."""

from pathlib import Path

import huggingface_hub
import pytest
import torch

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.loading import build_pipeline, find_weights
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sdxl import SDXL
from pytest_diffopt.records import Weights


@pytest.fixture(autouse=True)
def nothing_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no cache of this machine answer."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


def test_tiny_ones_are_random_and_need_nobody() -> None:
    """Not even a local folder is looked at."""
    source = find_weights(SDXL, Scale.TINY, Path("nowhere"))

    assert (source.weights, source.path, source.origin) == (Weights.RANDOM, "", "random, seeded (tiny)")


def test_offline_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`HF_HUB_OFFLINE` is respected, and named as the reason."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: pytest.fail("the hub was asked"))
    source = find_weights(SDXL, Scale.FULL)

    assert source.weights is Weights.RANDOM
    assert source.origin == ("random: stabilityai/stable-diffusion-xl-base-1.0 is not cached and HF_HUB_OFFLINE is set")


def test_a_silent_hub_gives_random_weights_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the network does is a reason, and no failure of the run."""

    def silent(*_: object, timeout: float, **__: object) -> None:
        assert timeout <= 5
        raise TimeoutError

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", silent)
    source = find_weights(SDXL, Scale.FULL)

    assert source.weights is Weights.RANDOM
    assert source.origin == (
        "random: stabilityai/stable-diffusion-xl-base-1.0 is not cached and the hub did not serve it (TimeoutError)"
    )


def test_a_hub_that_answers_and_a_cache_serve_the_published_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is looked at before the hub is asked."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: None)
    from_hub = find_weights(SDXL, Scale.FULL)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: "model_index.json")
    from_cache = find_weights(SDXL, Scale.FULL)

    assert from_hub.weights is Weights.PRETRAINED
    assert from_hub.origin == "stabilityai/stable-diffusion-xl-base-1.0 from the hub"
    assert from_cache.path == SDXL.hub_id
    assert from_cache.origin == "stabilityai/stable-diffusion-xl-base-1.0 from the hub's cache"


def test_before_the_run_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line after collection leaves open what the hub would say."""
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: pytest.fail("the hub was asked"))
    source = find_weights(SDXL, Scale.FULL, may_ask_hub=False)

    assert source.origin == "stabilityai/stable-diffusion-xl-base-1.0 if the hub answers, else random"


def test_a_local_folder_comes_first(tmp_path: Path) -> None:
    """A folder of the pipeline's name is taken before the hub is thought of."""
    (tmp_path / "sdxl").mkdir()
    source = find_weights(SDXL, Scale.FULL, tmp_path)

    assert source.path == str(tmp_path / "sdxl")
    assert source.origin == f"from {tmp_path / 'sdxl'}"


def test_a_saved_pipeline_is_loaded_from_its_folder_alone(tmp_path: Path) -> None:
    """What was saved is complete: the hub is not asked for a part of it."""
    saved = build_pipeline(SDXL, Scale.TINY).pipeline
    saved.save_pretrained(tmp_path / "sdxl")
    built = build_pipeline(SDXL, Scale.FULL, weights_folder=tmp_path)

    assert built.weights is Weights.PRETRAINED
    assert torch.equal(built.pipeline.unet.conv_in.weight, saved.unet.conv_in.weight)


def test_a_local_folder_that_is_no_pipeline_is_an_error(tmp_path: Path) -> None:
    """Random weights in its place would look like the published ones."""
    (tmp_path / "sdxl").mkdir()

    with pytest.raises(PipelineError, match=rf"^sdxl could not be loaded from {tmp_path}/sdxl: .*model_index.json"):
        build_pipeline(SDXL, Scale.FULL, weights_folder=tmp_path)


def test_an_unknown_pipeline_names_the_nearest() -> None:
    """And every known one."""
    assert known_pipelines() == ("sdxl",)
    with pytest.raises(PipelineError, match=r"^unknown pipeline: 'sdlx' \(did you mean 'sdxl'\?\); known: sdxl$"):
        find_pipeline("sdlx")
