"""Smaller models that replace the pipeline's own: the tiny autoencoder, and a denoiser with fewer blocks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import diffusers
import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.published import published_config
from pytest_diffopt.recipes.effect_reading import empty_steps, summed
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_SEED = 0
# These read layers of the VAE that AutoencoderTiny lacks.
_NEEDS_FULL_VAE = frozenset({"StableDiffusionUpscalePipeline"})
_SDXL_TRANSFORMER_BLOCKS = 70
_SDXL_WIDTH = 320
_LEFT_OUT = "transformer blocks that were left out"
_NO_ORIGINAL = "the UNet that it replaced is not known: apply the recipe with this package"

#: The transformer blocks of the UNet that each distilled one replaced.
_blocks_before: "WeakKeyDictionary[torch.nn.Module, int]" = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class TinyAutoencoder(Optimization):
    """AutoencoderTiny in place of the VAE.

    Attributes:
        weights: a hub id or folder, such as `sayakpaul/taesdxl-diffusers`; empty for random weights, which suffice to
            measure.
    """

    name: ClassVar[str] = "tiny_autoencoder"
    stage: ClassVar[Stage] = Stage.MODEL
    changes_image_by_design: ClassVar[bool] = True

    weights: str = ""

    @override
    def apply(self, pipeline: Any) -> None:
        own = _module(pipeline, "vae", self.name)
        if type(pipeline).__name__ in _NEEDS_FULL_VAE:
            name = type(pipeline).__name__
            msg = f"tiny_autoencoder does not work with {name}, which reads vae.post_quant_conv in each call"
            raise RecipeError(msg)
        with _on_device_of(own):
            made = _load_or_build(diffusers.AutoencoderTiny, self.weights, _tiny_config(own.config), self.name)
        _refuse_other_latents(own, made)
        pipeline.register_modules(vae=made.to(own.dtype).eval())

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        vae = _module(pipeline, "vae", self.name)
        missing = [] if isinstance(vae, diffusers.AutoencoderTiny) else [f"vae is {type(vae).__name__}"]
        return self.state(f"vae is {type(vae).__name__} with {_num_parameters(vae)} parameters", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        seen = [one for one in call.modules if one.kind in {"DecoderTiny", "EncoderTiny"}]
        return self.acted("calls of AutoencoderTiny", **summed(seen, call))


def _tiny_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the published shape for a VAE of as many levels, half as wide as the VAE at its narrowest level."""
    levels = len(config["block_out_channels"])
    channels = (min(config["block_out_channels"]) // 2,) * levels
    return {
        "latent_channels": config["latent_channels"],
        "encoder_block_out_channels": channels,
        "decoder_block_out_channels": channels,
        "num_encoder_blocks": (1, *(3,) * (levels - 1)),
        "num_decoder_blocks": (*(3,) * (levels - 1), 1),
    }


def _refuse_other_latents(own: Any, made: Any) -> None:
    if made.config.latent_channels != own.config.latent_channels:
        msg = (
            f"tiny_autoencoder must have the VAE's {own.config.latent_channels} latent channels, "
            f"got: {made.config.latent_channels}"
        )
        raise RecipeError(msg)


@dataclass(frozen=True, kw_only=True)
class Distilled(Optimization):
    """A UNet with fewer blocks: the shape of bk-sdm for Stable Diffusion, of SSD-1B for SDXL.

    Attributes:
        weights: a hub id or folder, such as `nota-ai/bk-sdm-small`; empty to keep the UNet's own weights that fit.
    """

    name: ClassVar[str] = "distilled"
    stage: ClassVar[Stage] = Stage.MODEL
    changes_image_by_design: ClassVar[bool] = True

    weights: str = ""

    @override
    def apply(self, pipeline: Any) -> None:
        own = _module(pipeline, "unet", self.name)
        kind = diffusers.UNet2DConditionModel
        if not isinstance(own, kind):
            msg = f"distilled needs a UNet2DConditionModel, got: {type(own).__name__}"
            raise RecipeError(msg)
        with _on_device_of(own):
            made = _load_or_build(kind, self.weights, _distilled_config(own.config), self.name, subfolder="unet")
        if not self.weights:
            _copy_fitting_weights(made, own)
        made = made.to(own.dtype).eval()
        _blocks_before[made] = _num_transformer_blocks(own)
        pipeline.register_modules(unet=made)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        unet = _module(pipeline, "unet", self.name)
        blocks = _num_transformer_blocks(unet)
        found = f"unet has {blocks} transformer blocks and {_num_parameters(unet)} parameters"
        return self.state(found, list(_undistilled(unet, blocks)))

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        """Return the transformer blocks that the calls of the UNet left out, compared with the UNet it replaced."""
        unet = _module(pipeline, "unet", self.name)
        calls = [one for one in call.modules if one.module == "unet"]
        before = _blocks_before.get(unet)
        blocks = _num_transformer_blocks(unet)
        if before is None:
            lacking = tuple(_undistilled(unet, blocks))
            return self.acted(_LEFT_OUT, 0, lacking=lacking) if lacking else self.unseen(_NO_ORIGINAL, _LEFT_OUT)
        saved = before - blocks
        sums = summed(calls, call, lambda one: one.count * saved)
        return self.acted(_LEFT_OUT, **sums, lacking=tuple(empty_steps(sums, call)))


def _undistilled(unet: Any, blocks: int) -> Iterator[str]:
    if _is_published_sdxl(unet.config):
        if blocks >= _SDXL_TRANSFORMER_BLOCKS:
            yield f"unet has all {_SDXL_TRANSFORMER_BLOCKS} transformer blocks of SDXL"
        return
    if unet.mid_block is not None:
        yield "unet has its middle block"
    layers = max(len(block.resnets) for block in unet.down_blocks)
    if layers > 1:
        yield f"unet has {layers} layers in a block"


def _distilled_config(config: Mapping[str, Any]) -> dict[str, Any]:
    if _is_published_sdxl(config):
        published = published_config("SSD-1B", "unet")
        return {name: value for name, value in published.items() if not name.startswith("_")}
    own = {name: value for name, value in config.items() if not name.startswith("_")}
    return own | {"layers_per_block": 1, "mid_block_type": None}


def _is_published_sdxl(config: Mapping[str, Any]) -> bool:
    return config.get("addition_embed_type") == "text_time" and config["block_out_channels"][0] == _SDXL_WIDTH


def _num_transformer_blocks(unet: torch.nn.Module) -> int:
    return sum(type(part).__name__ == "BasicTransformerBlock" for part in unet.modules())


def _num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _module(pipeline: Any, part: str, name: str) -> Any:
    modules = modules_of(pipeline)
    if part not in modules:
        msg = f"{name} needs a pipeline with a {part}, and {type(pipeline).__name__} has: {', '.join(modules)}"
        raise RecipeError(msg)
    return modules[part]


def _load_or_build(
    kind: Any, weights: str, config: Mapping[str, Any], name: str, *, subfolder: str | None = None
) -> Any:
    if not weights:
        return kind(**config)
    try:
        return kind.from_pretrained(weights, subfolder=subfolder)
    except Exception as error:
        msg = f"{name}(weights={weights!r}) could not be loaded: {type(error).__name__}: {error}"
        raise RecipeError(msg) from error


def _copy_fitting_weights(made: torch.nn.Module, own: torch.nn.Module) -> None:
    new, old = made.state_dict(), own.state_dict()
    fitting = {name: value for name, value in old.items() if name in new and new[name].shape == value.shape}
    if not any(parameter.is_meta for parameter in made.parameters()):
        made.load_state_dict(fitting, strict=False)


@contextmanager
def _on_device_of(module: Any) -> Iterator[None]:
    """Build on the module's device, with the same random parameters each time."""
    with torch.random.fork_rng(devices=[]), module.device:
        torch.manual_seed(_SEED)
        yield
