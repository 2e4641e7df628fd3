"""LoRA adapters: loaded from a file, or with random weights to measure; separate or fused into the weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import denoiser_names, modules_of
from pytest_diffopt.recipes.effect_reading import component_of, empty_steps, summed
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_SEED = 0
_ADAPTER = "diffopt"
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_LOST = "fused projections replace the layers that have the adapter, which is lost: write lora(fused=True)"

#: The layers whose weights a fused adapter changed, by denoiser.
_changed: "WeakKeyDictionary[torch.nn.Module, frozenset[str]]" = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Lora(Optimization):
    """A LoRA adapter of the denoiser.

    Attributes:
        weights: a hub id, folder or file; empty for random weights, which suffice to measure.
        rank: the rank of random weights.
        scale: the factor of the adapter.
        fused: add the adapter to the weights of the layers, so that a call has the operations of one without it.
    """

    name: ClassVar[str] = "lora"
    stage: ClassVar[Stage] = Stage.ADAPTERS
    changes_image_by_design: ClassVar[bool] = True

    weights: str = ""
    rank: int = 4
    scale: float = 1.0
    fused: bool = False

    def __post_init__(self) -> None:
        """Refuse a rank below 1, before a pipeline is built."""
        if self.rank < 1:
            msg = f"lora(rank=...) must be at least 1, got: {self.rank}"
            raise RecipeError(msg)

    @override
    def clash(self, other: Optimization) -> str:
        return _LOST if other.name == "fuse_qkv" and not self.fused else super().clash(other)

    @override
    def apply(self, pipeline: Any) -> None:
        if not callable(getattr(pipeline, "load_lora_weights", None)):
            msg = f"lora needs load_lora_weights(), and {type(pipeline).__name__} has none"
            raise RecipeError(msg)
        if self.weights:
            self._load(pipeline)
        else:
            self._add_random(pipeline)
        pipeline.set_adapters([_ADAPTER], adapter_weights=[self.scale])
        if self.fused:
            _fuse(pipeline)

    def _load(self, pipeline: Any) -> None:
        try:
            pipeline.load_lora_weights(self.weights, adapter_name=_ADAPTER)
        except Exception as error:
            msg = f"lora(weights={self.weights!r}) could not be loaded: {type(error).__name__}: {error}"
            raise RecipeError(msg) from error

    def _add_random(self, pipeline: Any) -> None:
        from peft import LoraConfig  # noqa: PLC0415 - an optional dependency of diffusers

        config = LoraConfig(r=self.rank, target_modules=list(_ATTENTION), init_lora_weights=False)
        for name in denoiser_names(pipeline):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_SEED)
                getattr(pipeline, name).add_adapter(config, adapter_name=_ADAPTER)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        found, missing = 0, []
        for name in denoiser_names(pipeline):
            layers = dict(_adapted(pipeline, name))
            found += len(layers)
            apart = [layer for layer in layers.values() if bool(layer.merged) != self.fused]
            if not layers:
                missing.append(f"no layer of {name} has an adapter")
            elif apart:
                state = "not fused" if self.fused else "fused"
                missing.append(f"{len(apart)} of {len(layers)} adapters of {name} are {state}")
        return self.state(f"{found} layers have an adapter", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        return self._fused_effect(pipeline, call) if self.fused else self._separate_effect(pipeline, call)

    def _separate_effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        layers = {
            path: layer
            for name in denoiser_names(pipeline)
            for path, layer in _adapted(pipeline, name)
            if any(layer.scaling.get(adapter) for adapter in layer.active_adapters)
        }
        seen = [
            one for one in call.modules if ".lora_B." in one.module and one.module.partition(".lora_B.")[0] in layers
        ]
        sums = summed(seen, call, lambda one: one.count - one.zero_outputs)
        silent = set(layers) - {one.module.partition(".lora_B.")[0] for one in seen}
        lacking = [f"{len(silent)} of {len(layers)} layers with an adapter were never called"] if silent else []
        figure = "calls of adapters that changed a layer's output"
        return self.acted(figure, **sums, lacking=(*lacking, *empty_steps(sums, call)))

    def _fused_effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        changed = {
            f"{name}.{path}"
            for name in denoiser_names(pipeline)
            for path in _changed.get(getattr(pipeline, name), frozenset())
        }
        sums = summed([one for one in call.modules if one.module in changed], call)
        if changed and not sums["value"]:  # the projections were fused afterwards, with the adapter in their weights
            projections = [one for one in call.modules if one.module.rpartition(".")[2] in {"to_qkv", "to_kv"}]
            components = {component_of(path) for path in changed}
            sums = summed([one for one in projections if component_of(one.module) in components], call)
        return self.acted(
            "calls of layers whose weights the adapter changed", **sums, lacking=tuple(empty_steps(sums, call))
        )


def _adapted(pipeline: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the layers of a component that have an adapter."""
    for path, layer in modules_of(pipeline)[name].named_modules():
        if hasattr(layer, "lora_B") and hasattr(layer, "merged"):
            yield f"{name}.{path}", layer


def _fuse(pipeline: Any) -> None:
    for name in denoiser_names(pipeline):
        denoiser = getattr(pipeline, name)
        before = {path: layer.weight.detach().clone() for path, layer in _adapted(pipeline, name)}
        denoiser.fuse_lora(adapter_names=[_ADAPTER])
        changed = [path for path, layer in _adapted(pipeline, name) if not torch.equal(before[path], layer.weight)]
        _changed[denoiser] = frozenset(path.removeprefix(f"{name}.") for path in changed)
