"""Variations of a call that change the LoRA of the pipeline: its scale, its weights, none at all."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_diffopt.arguments import NUMBER, SOME_TEXT, YES_OR_NO, Rule, instance_of, require
from pytest_diffopt.errors import PipelineError, did_you_mean
from pytest_diffopt.pipelines.adapter_weights import adapted_layers, lora_weights_kept
from pytest_diffopt.pipelines.inputs import PipelineChange, PipelineInputs

_SCALES = (1.0, 0.5)
_WEIGHTS = Rule(
    text="a hub id, a folder, a file or a state dict",
    holds=lambda value: SOME_TEXT.holds(value) or isinstance(value, (Path, Mapping)),
)


def lora_variations(plain: PipelineInputs, adapter: str = "default_0") -> Sequence[PipelineInputs]:
    """Return calls that differ in the scale of a loaded LoRA.

    Args:
        plain: the plain call.
        adapter: the LoRA's name.
    """
    require(instance_of(PipelineInputs), plain, "the call of lora_variations")
    return tuple(plain.within(f"LoRA scale {scale}", lora_scaled(scale, adapter=adapter)) for scale in _SCALES)


def lora_scaled(scale: float, *, adapter: str = "default_0") -> PipelineChange:
    """Return a change that sets the scale of a LoRA.

    Args:
        scale: the LoRA's scale.
        adapter: the LoRA's name.

    Raises:
        ArgumentError: the scale is no finite number, or the name is not a text.
    """
    require(NUMBER, scale, "lora_scaled(scale=...)")
    require(SOME_TEXT, adapter, "lora_scaled(adapter=...)")

    @contextmanager
    def changed(pipeline: Any) -> Iterator[None]:
        _refuse_inactive(pipeline, adapter, "lora_scaled")
        pipeline.set_adapters(adapter, scale)
        try:
            yield
        finally:
            pipeline.set_adapters(adapter, 1.0)

    return changed


def lora_loaded(weights: Any, *, adapter: str = "variation", hotswap: bool = False) -> PipelineChange:
    """Return a change that loads a LoRA for one call, and unloads it afterwards.

    It replaces the active LoRAs for the call, as `load_lora_weights` does.

    Args:
        weights: the first argument of `load_lora_weights`: a hub id, a folder, a file or a state dict.
        adapter: the name of the LoRA; with `hotswap` that of an active LoRA, whose weights are replaced.
        hotswap: replace the weights of an active LoRA in place, which adds no layer; afterwards it has its own again.

    Raises:
        ArgumentError: an argument has the wrong type.
    """
    require(_WEIGHTS, weights, "lora_loaded(weights)")
    require(SOME_TEXT, adapter, "lora_loaded(adapter=...)")
    require(YES_OR_NO, hotswap, "lora_loaded(hotswap=...)")

    @contextmanager
    def changed(pipeline: Any) -> Iterator[None]:
        _refuse_without(pipeline, "load_lora_weights", "lora_loaded")
        if hotswap:
            _refuse_inactive(pipeline, adapter, "lora_loaded")
        with _swapped(pipeline, weights, adapter) if hotswap else _added(pipeline, weights, adapter):
            yield

    return changed


def _load(pipeline: Any, weights: Any, **options: Any) -> None:
    with warnings.catch_warnings():
        # peft warns of a second adapter, which is what the user asks for
        warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute", category=UserWarning)
        pipeline.load_lora_weights(weights, **options)


def lora_disabled() -> PipelineChange:
    """Return a change that disables every LoRA for one call."""

    @contextmanager
    def changed(pipeline: Any) -> Iterator[None]:
        _refuse_without(pipeline, "disable_lora", "lora_disabled")
        pipeline.disable_lora()
        try:
            yield
        finally:
            pipeline.enable_lora()

    return changed


@contextmanager
def _added(pipeline: Any, weights: Any, added: str) -> Iterator[None]:
    """Add an adapter, and afterwards activate those that were active before, with their scales."""
    before = pipeline.get_active_adapters()
    scales = [(layer, dict(layer.scaling)) for layer in adapted_layers(pipeline)]
    try:
        _load(pipeline, weights, adapter_name=added)
        yield
    finally:
        if before:
            pipeline.set_adapters(before)  # first: peft warns where an active adapter is deleted
            pipeline.delete_adapters(added)
        else:
            pipeline.unload_lora_weights()
        for layer, values in scales:
            layer.scaling.update(values)


@contextmanager
def _swapped(pipeline: Any, weights: Any, adapter: str) -> Iterator[None]:
    """Replace the weights of an adapter in place, and put its own back afterwards."""
    with lora_weights_kept(pipeline) as is_unchanged:
        _load(pipeline, weights, adapter_name=adapter, hotswap=True)
        if is_unchanged():
            msg = f"lora_loaded({_shown(weights)}, hotswap=True) changed no weight of the LoRA {adapter!r}"
            raise PipelineError(msg)
        yield


def _shown(weights: Any) -> str:
    return "a state dict" if isinstance(weights, Mapping) else repr(str(weights))


def _refuse_without(pipeline: Any, method: str, change: str) -> None:
    if not callable(getattr(pipeline, method, None)):
        msg = f"{change} needs a pipeline that can load a LoRA, got: {type(pipeline).__name__}"
        raise PipelineError(msg)


def _refuse_inactive(pipeline: Any, adapter: str, change: str) -> None:
    _refuse_without(pipeline, "get_active_adapters", change)
    active = pipeline.get_active_adapters()
    if adapter not in active:
        known = ", ".join(active) or "none"
        msg = f"no LoRA {adapter!r} is active{did_you_mean(adapter, active)}; active: {known}"
        raise PipelineError(msg)
