"""LoRA adapters: loaded from files, or with random weights to measure; separate, fused, or prepared for swaps."""

from collections.abc import Iterator, Sequence
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
    """LoRA adapters of the denoiser, named `diffopt`, `diffopt_2` and so on.

    Attributes:
        weights: a hub id, folder or file, or several; empty for random weights, which suffice to measure.
        rank: the rank of random weights.
        scale: the factor of the adapter, or one for each; of random weights it gives the number of adapters.
        fused: add the adapters to the weights of the layers, so that a call has the operations of one without them.
        target_rank: prepare the layers for other adapters of up to this rank, which `load_lora_weights(hotswap=True)`
            swaps in without recompiling, as diffusers' `enable_lora_hotswap` does; 0 does not.
    """

    name: ClassVar[str] = "lora"
    stage: ClassVar[Stage] = Stage.ADAPTERS
    changes_image_by_design: ClassVar[bool] = True

    weights: str | tuple[str, ...] = ""
    rank: int = 4
    scale: float | tuple[float, ...] = 1.0
    fused: bool = False
    target_rank: int = 0

    def __post_init__(self) -> None:
        """Refuse ranks and numbers of adapters that do not fit, before a pipeline is built."""
        problems = {
            f"(rank=...) must be at least 1, got: {self.rank}": self.rank < 1,
            "(weights=...) must name at least one file, got: []": self.weights == (),
            "(scale=...) must have at least one factor, got: []": self.scale == (),
            f" takes one scale for each of its {len(self._files)} weights, got: {len(self._scales)}": (
                len(self._scales) != len(self._names)
            ),
            f"(target_rank=...) must be 0, or at least the rank, got: {self.target_rank}": (
                self.target_rank and self.target_rank < (1 if self.weights else self.rank)
            ),
            " takes fused=True or target_rank: fused weights cannot be swapped": self.fused and self.target_rank,
            " swaps one adapter, and has several: remove target_rank": self.target_rank and len(self._names) > 1,
        }
        for problem, is_there in problems.items():
            if is_there:
                msg = f"lora{problem}"
                raise RecipeError(msg)

    @property
    def _files(self) -> tuple[str, ...]:
        return (self.weights,) * bool(self.weights) if isinstance(self.weights, str) else self.weights

    @property
    def _scales(self) -> tuple[float, ...]:
        """The factor of each adapter; a single one is that of all."""
        return (self.scale,) * max(len(self._files), 1) if isinstance(self.scale, (int, float)) else self.scale

    @property
    def _names(self) -> tuple[str, ...]:
        number = len(self._files) or len(self._scales)
        return (_ADAPTER, *(f"{_ADAPTER}_{one}" for one in range(2, number + 1)))[:number]

    @override
    def clash(self, other: Optimization) -> str:
        return _LOST if other.name == "fuse_qkv" and not self.fused else super().clash(other)

    @override
    def apply(self, pipeline: Any) -> None:
        if not callable(getattr(pipeline, "load_lora_weights", None)):
            msg = f"lora needs load_lora_weights(), and {type(pipeline).__name__} has none"
            raise RecipeError(msg)
        for number, adapter in enumerate(self._names):
            if self.weights:
                _load(pipeline, self._files[number], adapter)
            else:
                self._add_random(pipeline, adapter, seed=_SEED + number)
        pipeline.set_adapters(list(self._names), adapter_weights=list(self._scales))
        if self.fused:
            _fuse(pipeline, self._names)
        if self.target_rank:
            self._prepare_swaps(pipeline)

    def _add_random(self, pipeline: Any, adapter: str, *, seed: int) -> None:
        from peft import LoraConfig  # noqa: PLC0415 - an optional dependency of diffusers

        config = LoraConfig(r=self.rank, target_modules=list(_ATTENTION), init_lora_weights=False)
        for name in denoiser_names(pipeline):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                getattr(pipeline, name).add_adapter(config, adapter_name=adapter)

    def _prepare_swaps(self, pipeline: Any) -> None:
        """Make the scales tensors and pad the weights: last, because `set_adapters` makes the scales numbers."""
        from peft.utils.hotswap import prepare_model_for_compiled_hotswap  # noqa: PLC0415 - an optional dependency

        for name in denoiser_names(pipeline):
            denoiser = getattr(pipeline, name)
            try:
                prepare_model_for_compiled_hotswap(denoiser, target_rank=self.target_rank, config=denoiser.peft_config)
            except ValueError as error:
                msg = f"lora(target_rank={self.target_rank}) cannot prepare {name} for swaps: {error}"
                raise RecipeError(msg) from error

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        found, missing = 0, []
        for name in denoiser_names(pipeline):
            layers = dict(_adapted(pipeline, name))
            found += len(layers)
            apart = [layer for layer in layers.values() if bool(layer.merged) != self.fused]
            unprepared = [layer for layer in layers.values() if self.target_rank and not _is_prepared(layer)]
            if not layers:
                missing.append(f"no layer of {name} has an adapter")
            elif unprepared:
                missing.append(f"{len(unprepared)} of {len(layers)} adapters of {name} cannot be swapped")
            elif apart:
                state = "not fused" if self.fused else "fused"
                missing.append(f"{len(apart)} of {len(layers)} adapters of {name} are {state}")
            missing += [
                f"no layer of {name} has the adapter {adapter!r}"
                for adapter in self._names
                if layers and not any(adapter in layer.active_adapters for layer in layers.values())
            ]
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
        lacking += [
            f"the adapter {adapter!r} changed no output"
            for adapter in self._names
            if sums["value"] and not any(one.count > one.zero_outputs for one in seen if _is_of(one.module, adapter))
        ]
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


def _load(pipeline: Any, weights: str, adapter: str) -> None:
    try:
        pipeline.load_lora_weights(weights, adapter_name=adapter)
    except Exception as error:
        msg = f"lora(weights={weights!r}) could not be loaded: {type(error).__name__}: {error}"
        raise RecipeError(msg) from error


def _is_of(path: str, adapter: str) -> bool:
    """Return whether a module belongs to an adapter: `unet.mid_block.to_q.lora_B.diffopt`."""
    return path.partition(".lora_B.")[2].partition(".")[0] == adapter


def _is_prepared(layer: Any) -> bool:
    """Return whether the scales of a layer are tensors, which a swap changes without a recompile."""
    return all(isinstance(scale, torch.Tensor) for scale in layer.scaling.values())


def _adapted(pipeline: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the layers of a component that have an adapter."""
    for path, layer in modules_of(pipeline)[name].named_modules():
        if hasattr(layer, "lora_B") and hasattr(layer, "merged"):
            yield f"{name}.{path}", layer


def _fuse(pipeline: Any, names: Sequence[str]) -> None:
    for name in denoiser_names(pipeline):
        denoiser = getattr(pipeline, name)
        before = {path: layer.weight.detach().clone() for path, layer in _adapted(pipeline, name)}
        denoiser.fuse_lora(adapter_names=list(names))
        changed = [path for path, layer in _adapted(pipeline, name) if not torch.equal(before[path], layer.weight)]
        _changed[denoiser] = frozenset(path.removeprefix(f"{name}.") for path in changed)
