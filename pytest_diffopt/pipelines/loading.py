"""The search for the weights of a named pipeline, and building the pipeline from them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import huggingface_hub
import torch

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.family import BuiltPipeline, PipelineFamily
from pytest_diffopt.pipelines.loading_errors import explain_failed_load, refuse_foreign_folder
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Weights

_SEED = 0
_HUB_TIMEOUT_S = 3.0
# A repository on the hub contains a whole pipeline, or one component.
_INDEX_FILES = ("model_index.json", "config.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightSource:
    """The source of a pipeline's weights.

    Attributes:
        weights: the kind of weights.
        path: the argument of `from_pretrained`; empty for weights that are not loaded.
        origin: a description of the origin, with the reason for random weights.
        stages: the source of each stage, if the pipeline is a chain that is loaded.
    """

    weights: Weights
    path: str = ""
    origin: str
    stages: "tuple[WeightSource, ...]" = ()


def build_pipeline(
    family: PipelineFamily, scale: Scale, *, device: str = "cpu", weights_folder: Path | None = None
) -> BuiltPipeline:
    """Build a named pipeline on a device, without a progress bar, ready to be called.

    Args:
        family: the pipeline's description.
        scale: the scale to build.
        device: a torch device.
        weights_folder: a folder of saved pipelines, each under its name; it is searched first.

    Raises:
        PipelineError: the pipeline has no such scale, or its weights exist and cannot be loaded.
    """
    source = find_weights(family, scale, weights_folder)
    pipeline = _load(family, source) if source.path or source.stages else _build(family, scale, device)
    pipeline.set_progress_bar_config(disable=True)
    return BuiltPipeline(pipeline=pipeline.to(device), weights=source.weights, origin=source.origin)


def build_without_weights(family: PipelineFamily, scale: Scale) -> BuiltPipeline:
    """Build a named pipeline to count its operations; at full scale the parameters have shapes but no values."""
    pipeline = _build(family, scale, "meta")
    if scale is Scale.TINY:
        source = _tiny_weights(family)
        return BuiltPipeline(pipeline=pipeline, weights=source.weights, origin=f"tiny, {source.origin}")
    return BuiltPipeline(pipeline=pipeline, weights=Weights.RANDOM, origin="published architecture, no weights")


def find_weights(
    family: PipelineFamily, scale: Scale, weights_folder: Path | None = None, *, may_ask_hub: bool = True
) -> WeightSource:
    """Find the source of the weights: a local folder, the hub's cache, the hub, or none.

    Args:
        family: the pipeline's description.
        scale: the scale to build.
        weights_folder: a folder of saved pipelines, each under its name.
        may_ask_hub: query the hub over the network; otherwise the origin states that the hub was not queried.
    """
    if scale is Scale.TINY:
        return _tiny_weights(family)
    if family.stages:
        return _of_stages(
            [find_weights(stage, scale, weights_folder, may_ask_hub=may_ask_hub) for stage in family.stages]
        )
    local = weights_folder / family.name if weights_folder else None
    if local is not None and local.is_dir():
        return WeightSource(weights=Weights.PRETRAINED, path=str(local), origin=f"from {local}")
    if not family.hub_id:
        return WeightSource(weights=Weights.RANDOM, origin="random: it names no repository on the hub")
    return _on_hub(family, may_ask_hub=may_ask_hub)


def _tiny_weights(family: PipelineFamily) -> WeightSource:
    if family.ships_weights:
        return WeightSource(weights=Weights.PRETRAINED, origin="trained, shipped with pytest-diffopt")
    if family.has_random_weights:
        return WeightSource(weights=Weights.RANDOM, origin="random, the same in every build")
    return WeightSource(weights=Weights.OWN, origin="the user's own")


def _of_stages(sources: Sequence[WeightSource]) -> WeightSource:
    """Return the source of a chain: pretrained if every stage is, else random for all stages."""
    missing = next((source for source in sources if source.weights is Weights.RANDOM), None)
    if missing is not None:
        return WeightSource(weights=Weights.RANDOM, origin=missing.origin)
    origin = ", ".join(source.origin for source in sources)
    return WeightSource(weights=Weights.PRETRAINED, origin=origin, stages=tuple(sources))


def _on_hub(family: PipelineFamily, *, may_ask_hub: bool) -> WeightSource:
    hub_id = family.hub_id
    missing = [one for one in (hub_id, *family.more_hub_ids) if not _is_cached(one)]
    if not missing:
        return WeightSource(weights=Weights.PRETRAINED, path=hub_id, origin=f"{hub_id} from the hub's cache")
    if not may_ask_hub:
        return WeightSource(weights=Weights.RANDOM, origin=f"{hub_id} if the hub answers, else random")
    for one in missing:
        reason = _why_hub_unavailable(one)
        if reason:
            return WeightSource(weights=Weights.RANDOM, origin=f"random: {one} is not cached and {reason}")
    return WeightSource(weights=Weights.PRETRAINED, path=hub_id, origin=f"{hub_id} from the hub")


def _is_cached(hub_id: str) -> bool:
    return any(isinstance(huggingface_hub.try_to_load_from_cache(hub_id, name), str) for name in _INDEX_FILES)


def _why_hub_unavailable(hub_id: str) -> str:
    """Query the hub once, with a short timeout; return why it cannot serve the model, or an empty string."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    try:
        huggingface_hub.HfApi().model_info(hub_id, timeout=_HUB_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - any network error leads to random weights, with the reason
        return f"the hub did not serve it ({type(error).__name__})"
    return ""


def _load(family: PipelineFamily, source: WeightSource) -> Any:
    if family.chain is not None and source.stages:
        stages = zip(family.stages, source.stages, strict=True)
        return family.chain(*(_load(stage, stage_source) for stage, stage_source in stages))
    is_local = Path(source.path).is_dir()
    if is_local:
        refuse_foreign_folder(family, Path(source.path))
    try:
        options = {} if is_local else family.load_options()  # a saved pipeline is complete
        return getattr(diffusers, family.class_name).from_pretrained(source.path, **options)
    except Exception as error:
        raise PipelineError(explain_failed_load(family, source.origin, error, is_local=is_local)) from error


def _build(family: PipelineFamily, scale: Scale, device: str) -> Any:
    build = family.build_tiny if scale is Scale.TINY else family.build_random
    if build is None:
        keyword = "build_tiny" if scale is Scale.TINY else "build_random"
        msg = f"pipeline {family.name!r} has no {scale} scale without weights: register it with {keyword}=..."
        raise PipelineError(msg)
    # A tiny pipeline is always built on the CPU, so that its weights are the same on every device.
    with _seeded(), torch.device("cpu" if scale is Scale.TINY else device):
        return build()


@contextmanager
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        yield
