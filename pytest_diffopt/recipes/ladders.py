"""Ladders: named sequences of recipes in which each level builds on the levels before.

The recipes are plain strings, so that markers and reports can list a ladder without importing torch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_diffopt.arguments import TEXT, YES_OR_NO, one_of, require
from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.pipelines.scale import Scale

# The article is "Accelerating Generative AI Part III: Diffusion, Fast" on the PyTorch blog.
_ARTICLE_FLAGS = (
    '"conv_1x1_as_mm": True, "coordinate_descent_tuning": True, "epilogue_fusion": False, '
    '"coordinate_descent_check_all_directions": True'
)
# The article's sixth flag, use_mixed_mm, has no effect since torch 2.7.
_INT8_FLAGS = f'{_ARTICLE_FLAGS}, "force_fuse_int_mm_with_mul": True'


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One level of a ladder.

    Attributes:
        ladder: the ladder's name.
        number: the position in the ladder, from 1.
        label: what this level adds, as one word that a test id can contain.
        recipe: the whole recipe, in its canonical form.
    """

    ladder: str
    number: int
    label: str
    recipe: str

    @property
    def test_id(self) -> str:
        """The level's part of a test id: `diffusion-fast-4-compile`."""
        return f"{self.ladder}-{self.number}-{self.label}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Traits:
    """Properties of a pipeline that decide the levels of its ladders.

    Attributes:
        has_vanilla_attention: its layers have a vanilla attention processor.
        fuses: diffusers can fuse its projections.
        tiny_channels: the number of channels at tiny scale that corresponds to the article's 128; 0 if no 1 x 1
            convolution has it.
        target: the modules to compile; empty for the recipe's default.
        vae: its VAE, if the VAE has linear layers to quantize; else empty.
        scheduler: the optimizations that remove the syncs of its loop.
        regional: the value of `compile(regional=...)`: "True" if diffusers defines the repeated blocks, else
            "accelerate"; empty for no regional compilation.
        shapes: the `dynamic` keyword of `compile`. The denoisers of a chain have one class, and torch would compile the
            later ones for any shape, because it has seen the shapes of the first.
        half: the published half precision.
        tile: the side of a VAE tile at full scale, half of the published image's; 0 if diffusers cannot tile its VAE
            or offload its groups, so that it has no ladder `memory`.
        caches: the step cache, by scale; empty if diffusers has none for it, so that it has no ladder `cached`.
    """

    has_vanilla_attention: bool = True
    fuses: bool = True
    tiny_channels: int = 16
    target: tuple[str, ...] = ()
    vae: str = "vae"
    scheduler: tuple[str, ...] = ("begin_index",)
    regional: str = "True"
    shapes: str = ""
    half: str = "fp16"
    tile: int = 512
    caches: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> str:
        """The filter for quantization that selects the layers that regional compilation compiles."""
        return "blocks" if self.regional == "True" else "all"


_SYNC_FREE = ('scheduler(use="DPMSolverMultistepScheduler")', "begin_index")
_ACCELERATE = '"accelerate"'
_UNET = _Traits()
_SD15 = replace(_UNET, scheduler=_SYNC_FREE, tile=256)
_TINY_AUTOENCODER: dict[str, Any] = {"tiny_channels": 0, "vae": "", "tile": 0}
_TRANSFORMER = replace(_UNET, has_vanilla_attention=False, half="bf16")
#: The blocks of the tiny FLUX change more from step to step than those of the published one.
_FIRST_BLOCK: Mapping[str, str] = {
    Scale.TINY: "first_block_cache(threshold=0.5)",
    Scale.FULL: "first_block_cache(threshold=0.12)",
}
#: The side of a VAE tile at tiny scale: half of the image's.
_TINY_TILE = 32
_TRAITS: dict[str, _Traits] = {
    "sd15": _SD15,
    "sd15-img2img": _SD15,
    "sd15-inpaint": _SD15,
    "sd15-controlnet": replace(_SD15, target=("denoiser", "controlnet", "vae.decode")),
    "deepfloyd-if": replace(_UNET, fuses=False, scheduler=(), regional="", shapes=", dynamic=False", tile=0),
    "sdxl": _UNET,
    "sdxl-taesd": replace(_UNET, **_TINY_AUTOENCODER),
    "ssd-1b": _UNET,
    "pixart-alpha": replace(_UNET, regional=_ACCELERATE),
    "bk-sdm": _SD15,
    "bk-sdm-taesd": replace(_SD15, **_TINY_AUTOENCODER),
    "sd3": replace(_TRANSFORMER, regional=_ACCELERATE),
    "flux": replace(_TRANSFORMER, caches=_FIRST_BLOCK),
    "flux-schnell": _TRANSFORMER,
}


def known_ladders() -> tuple[str, ...]:
    """Return the names of the ladders."""
    return ("diffusion-fast", "modern", "memory", "cached")


def pipelines_with(name: str) -> tuple[str, ...]:
    """Return the names of the pipelines for which a ladder is defined.

    Args:
        name: one of `known_ladders`.
    """
    if name == "memory":
        return tuple(pipeline for pipeline, traits in _TRAITS.items() if traits.tile)
    if name == "cached":
        return tuple(pipeline for pipeline, traits in _TRAITS.items() if traits.caches)
    return tuple(_TRAITS)


def ladder(name: str, pipeline: str, scale: str = Scale.TINY, *, on_gpu: bool = False) -> tuple[Level, ...]:
    """Return a ladder's levels for a pipeline, without the levels that do not apply to it.

    Without a GPU, `compile` uses the backend `eager`: Dynamo traces and finds graph breaks, and a ladder takes seconds.

    Args:
        name: `diffusion-fast`, `modern`, `memory` or `cached`.
        pipeline: the pipeline's name.
        scale: the pipeline's scale; it sets the width of the convolutions that `pointwise_linears` replaces, the size
            of a VAE tile, and the threshold of a step cache.
        on_gpu: whether the pipeline runs on a GPU.

    Raises:
        RecipeError: an argument has the wrong type, the ladder or the scale is unknown, or no ladder is defined for
            the pipeline.
    """
    for rule, value, argument in (
        (TEXT, name, "name"),
        (TEXT, pipeline, "pipeline"),
        (one_of(Scale), scale, "scale"),
        (YES_OR_NO, on_gpu, "on_gpu"),
    ):
        require(rule, value, f"ladder({argument}=...)", error=RecipeError)
    if name not in known_ladders():
        msg = f"unknown ladder: {name!r}{did_you_mean(name, known_ladders())}; known: {', '.join(known_ladders())}"
        raise RecipeError(msg)
    known = pipelines_with(name)
    if pipeline not in known:
        which = f"ladder {name!r}" if pipeline in _TRAITS else "ladder"
        msg = f"no {which} is defined for {pipeline!r}{did_you_mean(pipeline, known)}; known: {', '.join(known)}"
        raise RecipeError(msg)
    rows = _rows(name, _TRAITS[pipeline], scale, "" if on_gpu else ', backend="eager"')
    return tuple(
        Level(ladder=name, number=number, label=label, recipe=" + ".join(filter(None, parts)))
        for number, (label, parts) in enumerate(rows, start=1)
    )


def _rows(name: str, traits: _Traits, scale: str, traced: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return the label and the parts of the recipe of each level."""
    if name == "memory":
        return _memory(traits, scale)
    if name == "cached":
        return _cached(traits, scale, traced)
    return _diffusion_fast(traits, scale, traced) if name == "diffusion-fast" else _modern(traits, traced)


def _diffusion_fast(traits: _Traits, scale: str, traced: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the article's six levels."""
    if traits.has_vanilla_attention:
        yield "fp32", ("fp32", "vanilla_attention")
        yield "bf16", ("bf16", "vanilla_attention")
    else:
        yield "fp32", ("fp32",)
    yield "sdpa", ("bf16", "sdpa")
    compiled = _compiled(traits, f'mode="max-autotune", fullgraph=True{traits.shapes}{traced}')
    yield "compile", ("bf16", "sdpa", "channels_last", f"inductor(flags={{{_ARTICLE_FLAGS}}})", compiled)
    plain, fused = ("bf16", "sdpa", "channels_last"), "fuse_qkv" if traits.fuses else ""
    if fused:
        yield "fuse_qkv", (*plain, fused, f"inductor(flags={{{_ARTICLE_FLAGS}}})", compiled)
    int8 = "int8_dynamic" if traits.vae else 'int8_dynamic(target=["denoiser"])'
    linears = _pointwise(traits, scale)
    yield "int8", (*plain, linears, fused, int8, f"inductor(flags={{{_INT8_FLAGS}}})", compiled)


def _modern(traits: _Traits, traced: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the levels for current torch: no sync at the first step, regional compilation, quantized matmuls."""
    base = (*traits.scheduler, "bf16", "sdpa")
    fused = (*base, "channels_last", "fuse_qkv" if traits.fuses else "")
    regional = f", regional={traits.regional}" if traits.regional else ""
    compiled = _compiled(traits, f"fullgraph=True{traits.shapes}{regional}{traced}")
    chosen = '"blocks"' if traits.blocks == "blocks" else '"all"'
    yield "bf16", base
    yield "compile", (*fused, compiled)
    yield "int8", (*fused, f'int8_dynamic(target=["denoiser"], filter={chosen})', compiled)
    yield "fp8", (*fused, 'fp8_dynamic(filter="blocks")' if traits.blocks == "blocks" else "fp8_dynamic", compiled)


def _memory(traits: _Traits, scale: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield levels with less and less memory; weights are cast before the hooks of offload keep copies of them."""
    tiles = f"vae_tiling(pixels={_TINY_TILE if scale == Scale.TINY else traits.tile})"
    yield traits.half, (traits.half,)
    yield "vae_tiling", (traits.half, tiles)
    yield "group_offload", (traits.half, tiles, "group_offload")
    yield "layerwise_casting", (traits.half, tiles, "layerwise_casting", "group_offload")


def _cached(traits: _Traits, scale: str, traced: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield levels that end with a step cache, whose decision breaks the graph of the first block.

    No level asks for `fullgraph`, and the blocks are compiled one by one: Dynamo does not compile a `forward` whose
    graph breaks within a loop.
    """
    compiled = f'compile(target=["denoiser"], regional=True{traced})'
    cache = traits.caches[Scale(scale)]
    yield "bf16", ("bf16",)
    yield "compile", ("bf16", compiled)
    yield cache.partition("(")[0], ("bf16", cache, compiled)


def _compiled(traits: _Traits, options: str) -> str:
    target = "".join(("target=[", ", ".join(f'"{one}"' for one in traits.target), "], ")) if traits.target else ""
    return f"compile({target}{options})"


def _pointwise(traits: _Traits, scale: str) -> str:
    if not traits.tiny_channels:
        return ""
    return f"pointwise_linears(channels={traits.tiny_channels})" if scale == Scale.TINY else "pointwise_linears"
