"""The VAE in pieces: tiles of an image, and one image of a batch at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import component_names, modules_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState, VaeCalls

_IMAGE_DIMENSIONS = 2
_SQUARE = "tile_sample_min_size"
_SIDES = ("tile_sample_min_height", "tile_sample_min_width")
_STRIDES = ("tile_sample_stride_height", "tile_sample_stride_width")
_STRIDE = 0.75  # as in diffusers' defaults: a quarter of a tile overlaps the next


@dataclass(frozen=True, kw_only=True)
class VaeTiling(Optimization):
    """`vae.enable_tiling()`: an image larger than a tile is decoded and encoded in tiles.

    Attributes:
        pixels: height and width of a tile; 0 keeps the VAE's own.
    """

    name: ClassVar[str] = "vae_tiling"
    stage: ClassVar[Stage] = Stage.VAE_PIECES

    pixels: int = 0

    def __post_init__(self) -> None:
        """Refuse a tile without pixels, before a pipeline is built."""
        if self.pixels < 0:
            msg = f"vae_tiling(pixels=...) must be at least 0, got: {self.pixels}"
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        for name, vae in _vaes_with(pipeline, "enable_tiling", self.name).items():
            vae.enable_tiling()
            if self.pixels:
                _set_tile(name, vae, self.pixels)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        vaes = _vaes_with(pipeline, "enable_tiling", self.name)
        missing = [f"{name} does not decode in tiles" for name, vae in vaes.items() if not _flag(vae, "use_tiling")]
        sizes = ", ".join(f"{name}: {_tile_of(vae)} pixels" for name, vae in vaes.items())
        return self.state(f"tiles of {sizes}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        tiles = [one for one in call.vaes if _pixels(one.piece) < _pixels(one.whole)]
        larger = [_whole_image(one) for one in call.vaes if one not in tiles and not _fits_in_a_tile(one, tiles)]
        figure = "tiles of images that were decoded or encoded"
        return self.acted(figure, sum(one.count for one in tiles), lacking=tuple(dict.fromkeys(larger)))


@dataclass(frozen=True, kw_only=True)
class VaeSlicing(Optimization):
    """`vae.enable_slicing()`: the images of a batch are decoded one after another."""

    name: ClassVar[str] = "vae_slicing"
    stage: ClassVar[Stage] = Stage.VAE_PIECES

    @override
    def apply(self, pipeline: Any) -> None:
        for vae in _vaes_with(pipeline, "enable_slicing", self.name).values():
            vae.enable_slicing()

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        vaes = _vaes_with(pipeline, "enable_slicing", self.name)
        missing = [f"{name} decodes whole batches" for name, vae in vaes.items() if not _flag(vae, "use_slicing")]
        return self.state(f"{len(vaes) - len(missing)} of {len(vaes)} VAEs decode one image at a time", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        slices = [one for one in call.vaes if one.piece[0] < one.whole[0]]
        # a batch of one needs no slices, and explains a call without any
        whole = [_whole_batch(one) for one in call.vaes if one not in slices and (one.whole[0] > 1 or not slices)]
        figure = "images of a batch that were decoded or encoded alone"
        return self.acted(figure, sum(one.count for one in slices), lacking=tuple(dict.fromkeys(whole)))


def _vaes_with(pipeline: Any, method: str, name: str) -> Mapping[str, Any]:
    modules = modules_of(pipeline)
    vaes = {one: modules[one] for one in component_names(pipeline, "vae")}
    found = {one: vae for one, vae in vaes.items() if callable(getattr(vae, method, None))}
    if not found:
        kinds = ", ".join(type(vae).__name__ for vae in vaes.values()) or f"{type(pipeline).__name__} without a vae"
        msg = f"{name} needs a vae with {method}(), got: {kinds}"
        raise RecipeError(msg)
    return found


def _set_tile(name: str, vae: Any, pixels: int) -> None:
    if hasattr(vae, _SQUARE):
        latents = vae.tile_sample_min_size // vae.tile_latent_min_size
        vae.tile_sample_min_size, vae.tile_latent_min_size = pixels, max(pixels // latents, 1)
    elif all(hasattr(vae, side) for side in _SIDES):
        for side, stride in zip(_SIDES, _STRIDES, strict=True):
            setattr(vae, side, pixels)
            setattr(vae, stride, int(pixels * _STRIDE))
    else:
        msg = (
            f"vae_tiling(pixels=...) cannot set the size of a tile of {name}: {type(vae).__name__} has no such setting"
        )
        raise RecipeError(msg)


def _tile_of(vae: Any) -> str:
    return str(getattr(vae, _SQUARE, getattr(vae, _SIDES[0], "unknown")))


def _flag(vae: Any, name: str) -> bool:
    return bool(getattr(vae, name, False))


def _pixels(shape: tuple[int, ...]) -> int:
    return prod(shape[-_IMAGE_DIMENSIONS:])


def _fits_in_a_tile(one: VaeCalls, tiles: Sequence[VaeCalls]) -> bool:
    """Return whether a call needs no tiles, as that of LTX-2's audio: another of its kind had tiles of its size."""
    return any(other.method == one.method and _pixels(one.whole) <= _pixels(other.piece) for other in tiles)


def _whole_image(one: VaeCalls) -> str:
    size = " x ".join(map(str, one.whole[-_IMAGE_DIMENSIONS:]))
    return f"{one.component}.{one.method} ran in one piece of {size}"


def _whole_batch(one: VaeCalls) -> str:
    return f"{one.component}.{one.method} ran a batch of {one.whole[0]} whole"
