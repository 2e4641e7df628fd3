"""The VAE in a float16 pipeline: upcast by diffusers while it decodes, or safe from overflow in float16."""

import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.recipes.effect_reading import component_of, summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_FLAG = "force_upcast"
_EXCLUSIVE = "the VAE is either upcast or needs no upcasting"
_PROBE_SIZE = 8
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class VaeUpcast(Optimization):
    """The VAE decodes in float32 while everything else runs in float16, as the published SDXL requires."""

    name: ClassVar[str] = "vae_upcast"
    stage: ClassVar[Stage] = Stage.PRECISION
    affects_precision: ClassVar[bool] = True
    partners: ClassVar[dict[str, str]] = {"fp16": "diffusers upcasts a VAE from float16 only"}
    conflicts: ClassVar[dict[str, str]] = {"fp16_safe_vae": _EXCLUSIVE, "tiny_autoencoder": "it does not overflow"}

    @override
    def apply(self, pipeline: Any) -> None:
        vae = _vae_of(pipeline, self.name)
        if not _reads_upcast_flag(pipeline):
            msg = f"vae_upcast needs a pipeline that reads vae.config.{_FLAG}, and {type(pipeline).__name__} does not"
            raise RecipeError(msg)
        vae.register_to_config(**{_FLAG: True})

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        vae = _vae_of(pipeline, self.name)
        missing = []
        if not vae.config.get(_FLAG):
            missing.append(f"vae.config.{_FLAG} is {vae.config.get(_FLAG)}")
        if not _reads_upcast_flag(pipeline):
            missing.append(f"{type(pipeline).__name__} never reads vae.config.{_FLAG}")
        if vae.dtype != torch.float16:
            missing.append(f"vae is {_plain(vae.dtype)}, and diffusers upcasts from float16 only")
        return self.state(f"vae is {_plain(vae.dtype)}, {_FLAG} is {bool(vae.config.get(_FLAG))}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        return _vae_in(self, "float32", call)


@dataclass(frozen=True, kw_only=True)
class Fp16SafeVae(Optimization):
    """A VAE that decodes in float16 without overflow, such as `madebyollin/sdxl-vae-fp16-fix`.

    Attributes:
        weights: a hub id or folder; empty to keep the pipeline's VAE. `verify` decodes latents to check for overflow.
    """

    name: ClassVar[str] = "fp16_safe_vae"
    stage: ClassVar[Stage] = Stage.MODEL
    affects_precision: ClassVar[bool] = True
    partners: ClassVar[dict[str, str]] = {"fp16": "other precisions do not overflow"}

    weights: str = ""

    @override
    def apply(self, pipeline: Any) -> None:
        own = _vae_of(pipeline, self.name)
        if self.weights:
            own = _loaded(type(own), self.weights).to(own.device, own.dtype)
            pipeline.register_modules(vae=own)
        own.register_to_config(**{_FLAG: False})

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        vae = _vae_of(pipeline, self.name)
        missing = []
        if vae.config.get(_FLAG):
            missing.append(f"vae.config.{_FLAG} is True: diffusers decodes in float32")
        if vae.dtype != torch.float16:
            missing.append(f"vae is {_plain(vae.dtype)}")
        broken = _overflows(vae)
        if broken:
            missing.append(f"{broken} values of a decoded image are not finite")
        return self.state(f"vae decodes in {_plain(vae.dtype)}, {broken} values overflow", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        return _vae_in(self, "float16", call)


def _vae_in(optimization: Optimization, dtype: str, call: CallEvidence) -> OptimizationEffect:
    seen = [one for one in work_of(call) if component_of(one.module) == "vae" and one.dtype == dtype]
    return optimization.acted(f"matrix products and convolutions of vae in {dtype}", **summed(seen, call))


def _overflows(vae: Any) -> int:
    """Decode random latents with the uncompiled decoder and return the number of values that are not finite."""
    generator = torch.Generator().manual_seed(_SEED)
    shape = (1, vae.config.latent_channels, _PROBE_SIZE, _PROBE_SIZE)
    latents = torch.randn(shape, generator=generator) / (vae.config.get("scaling_factor") or 1.0)
    with torch.no_grad():
        image = type(vae).decode(vae, latents.to(vae.device, vae.dtype), return_dict=False)[0]
    return int((~torch.isfinite(image)).sum())


def _reads_upcast_flag(pipeline: Any) -> bool:
    return _FLAG in inspect.unwrap(type(pipeline).__call__).__code__.co_names


def _vae_of(pipeline: Any, name: str) -> Any:
    vae = modules_of(pipeline).get("vae")
    if vae is None:
        msg = f"{name} needs a pipeline with a vae, and {type(pipeline).__name__} has none"
        raise RecipeError(msg)
    return vae


def _loaded(kind: Any, weights: str) -> Any:
    try:
        return kind.from_pretrained(weights)
    except Exception as error:
        msg = f"fp16_safe_vae(weights={weights!r}) could not be loaded: {type(error).__name__}: {error}"
        raise RecipeError(msg) from error


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
