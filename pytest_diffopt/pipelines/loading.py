"""Where the weights of a named pipeline come from, and how it is built from them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.family import BuiltPipeline, PipelineFamily
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Weights

_SEED = 0
_HUB_ANSWERS_WITHIN_S = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightSource:
    """Where a pipeline's parameters will come from.

    Attributes:
        weights: the kind.
        path: what `from_pretrained` is given; empty for random weights.
        origin: the same in words, with the reason for random ones.
    """

    weights: Weights
    path: str
    origin: str


def build_pipeline(
    family: PipelineFamily, scale: Scale, *, device: str = "cpu", weights_folder: Path | None = None
) -> BuiltPipeline:
    """Build a named pipeline on a device, silent, ready to be called.

    Args:
        family: which one.
        scale: how large.
        device: a torch device.
        weights_folder: a folder that holds saved pipelines, each under its name; looked at first.

    Raises:
        PipelineError: a local folder is there and cannot be loaded.
    """
    source = find_weights(family, scale, weights_folder)
    pipeline = _load(family, source) if source.path else _random(family, scale, device)
    pipeline.set_progress_bar_config(disable=True)
    return BuiltPipeline(pipeline=pipeline.to(device), weights=source.weights, origin=source.origin)


def build_without_weights(family: PipelineFamily, scale: Scale) -> BuiltPipeline:
    """Build a named pipeline to be counted: the published architecture has no parameters, only their shapes."""
    pipeline = _random(family, scale, "meta")
    is_tiny = scale is Scale.TINY
    origin = "tiny, random weights" if is_tiny else "published architecture, no weights"
    return BuiltPipeline(pipeline=pipeline, weights=Weights.RANDOM, origin=origin)


def find_weights(
    family: PipelineFamily, scale: Scale, weights_folder: Path | None = None, *, may_ask_hub: bool = True
) -> WeightSource:
    """Find where the weights would come from: a local folder, the hub's cache, the hub, or nowhere.

    Args:
        family: which pipeline.
        scale: how large.
        weights_folder: a folder that holds saved pipelines, each under its name.
        may_ask_hub: ask over the network; otherwise what the hub would say stays open.
    """
    if scale is Scale.TINY:
        return WeightSource(weights=Weights.RANDOM, path="", origin="random, seeded (tiny)")
    local = weights_folder / family.name if weights_folder else None
    if local is not None and local.is_dir():
        return WeightSource(weights=Weights.PRETRAINED, path=str(local), origin=f"from {local}")
    if _is_cached(family.hub_id):
        return WeightSource(
            weights=Weights.PRETRAINED, path=family.hub_id, origin=f"{family.hub_id} from the hub's cache"
        )
    if not may_ask_hub:
        return WeightSource(weights=Weights.RANDOM, path="", origin=f"{family.hub_id} if the hub answers, else random")
    reason = _why_hub_is_silent(family.hub_id)
    if reason:
        return WeightSource(
            weights=Weights.RANDOM, path="", origin=f"random: {family.hub_id} is not cached and {reason}"
        )
    return WeightSource(weights=Weights.PRETRAINED, path=family.hub_id, origin=f"{family.hub_id} from the hub")


def _is_cached(hub_id: str) -> bool:
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - slow to import

    return isinstance(try_to_load_from_cache(hub_id, "model_index.json"), str)


def _why_hub_is_silent(hub_id: str) -> str:
    """Ask the hub once, with a short time limit; return why it cannot serve the model, or an empty string."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    from huggingface_hub import HfApi  # noqa: PLC0415 - slow to import

    try:
        HfApi().model_info(hub_id, timeout=_HUB_ANSWERS_WITHIN_S)
    except Exception as error:  # noqa: BLE001 - whatever the network does, the reason is told and the weights are random
        return f"the hub did not serve it ({type(error).__name__})"
    return ""


def _load(family: PipelineFamily, source: WeightSource) -> Any:
    import diffusers  # noqa: PLC0415 - slow to import

    try:
        options = {} if Path(source.path).is_dir() else family.load_options()  # a saved pipeline is complete
        return getattr(diffusers, family.class_name).from_pretrained(source.path, **options)
    except Exception as error:
        msg = f"{family.name} could not be loaded {source.origin}: {type(error).__name__}: {error}"
        raise PipelineError(msg) from error


def _random(family: PipelineFamily, scale: Scale, device: str) -> Any:
    import torch  # noqa: PLC0415 - slow to import

    build = family.build_tiny if scale is Scale.TINY else family.build_random
    # A tiny pipeline is built on the CPU wherever it will run, so that its weights are the same everywhere.
    with _seeded(), torch.device("cpu" if scale is Scale.TINY else device):
        return build()


@contextmanager
def _seeded() -> Iterator[None]:
    import torch  # noqa: PLC0415 - slow to import

    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        yield
