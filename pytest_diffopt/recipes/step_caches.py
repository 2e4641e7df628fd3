"""Step caches: blocks or attention layers of a denoiser whose results of an earlier step are used again."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import denoiser_names
from pytest_diffopt.recipes.cache_hooks import contexts_of, ends_as_it_begins, hook_of
from pytest_diffopt.recipes.effect_reading import summed
from pytest_diffopt.recipes.step_cache import StepCache
from pytest_diffopt.records import CallEvidence, OptimizationEffect

#: The contexts of pipelines that call their denoiser for each half; with both in one batch it is "cond_uncond".
_SEPARATE_CONTEXTS = frozenset({"cond", "uncond"})
_FIRST_TIMESTEP = 1000
# Nucleus-Image's block, and its layer that projects the prompt: the cache leaves it out.
_TEXT_BLOCK, _TEXT_PROJECTION = "NucleusMoEImageTransformerBlock", "encoder_proj"


@dataclass(frozen=True, kw_only=True)
class FirstBlockCache(StepCache):
    """All blocks after the first are skipped where the residual of the first has hardly changed since the last step.

    Attributes:
        threshold: the mean relative change of the first block's residual below which the others are skipped.
    """

    name: ClassVar[str] = "first_block_cache"
    config_name: ClassVar[str] = "FirstBlockCacheConfig"

    threshold: float = 0.05

    @override
    def _enable(self, pipeline: Any, name: str, denoiser: Any) -> None:
        super()._enable(pipeline, name, denoiser)
        if not ends_as_it_begins(denoiser):
            denoiser.disable_cache()
            msg = (
                f"{self.name} needs blocks that all return the same states, and the first block of {name} "
                f"({type(denoiser).__name__}) also returns those of the prompt, which the last does not: diffusers "
                "would raise in the first step"
            )
            raise RecipeError(msg)

    @override
    def _arguments(self) -> dict[str, Any]:
        return {"threshold": self.threshold}


@dataclass(frozen=True, kw_only=True)
class PyramidAttentionBroadcast(StepCache):
    """Attention is computed in every `spatial`-th step only, and its result used again between.

    Attributes:
        spatial: the steps from one computation of self-attention to the next; None computes each.
        temporal: the same for attention over frames.
        cross: the same for cross-attention.
        timesteps: the timesteps between which results are used again.
    """

    name: ClassVar[str] = "pyramid_attention_broadcast"
    config_name: ClassVar[str] = "PyramidAttentionBroadcastConfig"
    shares_state: ClassVar[bool] = True
    needs_context: ClassVar[bool] = False
    needs_timestep: ClassVar[bool] = True
    breaks_graphs: ClassVar[bool] = False

    spatial: int | None = 2
    temporal: int | None = None
    cross: int | None = None
    timesteps: tuple[int, int] = (100, 800)

    @override
    def _arguments(self) -> dict[str, Any]:
        kinds = {"spatial": self.spatial, "temporal": self.temporal, "cross": self.cross}
        return {
            **{f"{kind}_attention_block_skip_range": steps for kind, steps in kinds.items()},
            **{f"{kind}_attention_timestep_skip_range": self.timesteps for kind in kinds},
        }


@dataclass(frozen=True, kw_only=True)
class FasterCache(StepCache):
    """Attention of every other step, and the unconditional half of a batch of every fifth step, are used again.

    Attributes:
        spatial: the steps from one computation of self-attention to the next.
        timesteps: the timesteps between which attention is used again.
        unconditional: the steps from one computation of the unconditional half to the next.
        unconditional_timesteps: the timesteps between which the unconditional half is used again.
        layout: the order of the latents' dimensions.
        guidance_distilled: whether the denoiser has no unconditional half.
    """

    name: ClassVar[str] = "faster_cache"
    config_name: ClassVar[str] = "FasterCacheConfig"
    shares_state: ClassVar[bool] = True
    needs_context: ClassVar[bool] = False
    needs_timestep: ClassVar[bool] = True
    breaks_graphs: ClassVar[bool] = False

    spatial: int = 2
    timesteps: tuple[int, int] = (-1, 681)
    unconditional: int = 5
    unconditional_timesteps: tuple[int, int] = (-1, 641)
    layout: Literal["BCHW", "BCFHW", "BFCHW"] = "BCHW"
    guidance_distilled: bool = False

    def __post_init__(self) -> None:
        """Refuse timesteps that include the first, before a pipeline is built."""
        if self.timesteps[1] > _FIRST_TIMESTEP:
            msg = (
                f"faster_cache(timesteps=...) must end at {_FIRST_TIMESTEP} or below, got: {self.timesteps[1]}: "
                "diffusers would take the attention of the first step from an empty cache"
            )
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        if not self.guidance_distilled and contexts_of(type(pipeline)) & _SEPARATE_CONTEXTS:
            msg = (
                "faster_cache needs the conditional and the unconditional half in one batch, and "
                f"{type(pipeline).__name__} calls its denoiser for each: write faster_cache(guidance_distilled=True)"
            )
            raise RecipeError(msg)
        super().apply(pipeline)

    @override
    def _arguments(self) -> dict[str, Any]:
        return {
            "spatial_attention_block_skip_range": self.spatial,
            "spatial_attention_timestep_skip_range": self.timesteps,
            "unconditional_batch_skip_range": self.unconditional,
            "unconditional_batch_timestep_skip_range": self.unconditional_timesteps,
            "tensor_format": self.layout,
            "is_guidance_distilled": self.guidance_distilled,
            "attention_weight_callback": lambda _module: 0.5,
        }


@dataclass(frozen=True, kw_only=True)
class TaylorSeerCache(StepCache):
    """Results are extrapolated from earlier steps by a Taylor series between two full computations.

    Attributes:
        interval: the steps from one full computation to the next.
        first_steps: the steps at the start that are computed in full.
        order: the highest order of the series.
        dtype: the dtype of the series' factors.
    """

    name: ClassVar[str] = "taylorseer_cache"
    config_name: ClassVar[str] = "TaylorSeerCacheConfig"

    interval: int = 5
    first_steps: int = 3
    order: int = 1
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"

    @override
    def _arguments(self) -> dict[str, Any]:
        return {
            "cache_interval": self.interval,
            "disable_cache_before_step": self.first_steps,
            "max_order": self.order,
            "taylor_factors_dtype": getattr(torch, self.dtype),
        }


@dataclass(frozen=True, kw_only=True)
class MagCache(StepCache):
    """All blocks are skipped while the accumulated error, estimated from measured magnitudes, is small.

    Attributes:
        ratios: the ratio of the residuals' magnitudes from step to step, which belongs to a checkpoint; empty for those
            that diffusers has for FLUX.
        threshold: the accumulated error up to which steps are skipped.
        most_skips: the most steps that are skipped in sequence.
        retention: the fraction of steps at the start that are computed in full.
        steps: the denoise steps of a call.
    """

    name: ClassVar[str] = "mag_cache"
    config_name: ClassVar[str] = "MagCacheConfig"

    ratios: tuple[float, ...] = ()
    threshold: float = 0.06
    most_skips: int = 3
    retention: float = 0.2
    steps: int = 28

    @override
    def _arguments(self) -> dict[str, Any]:
        from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS  # noqa: PLC0415 - takes seconds: it imports peft

        return {
            "threshold": self.threshold,
            "max_skip_steps": self.most_skips,
            "retention_ratio": self.retention,
            "num_inference_steps": self.steps,
            "mag_ratios": list(self.ratios) or FLUX_MAG_RATIOS,
        }


@dataclass(frozen=True, kw_only=True)
class SeaCache(StepCache):
    """All blocks are skipped while the filtered latents have hardly changed since the last full computation.

    diffusers can read the latents of Wan's text-to-video models and of Cosmos 3. On any other denoiser it warns once
    and computes every step, so that the recipe is an error there.

    Attributes:
        threshold: the accumulated relative change of the filtered latents up to which steps are skipped.
        order: 0 uses the last residual of the blocks again, 1 extrapolates from the last two.
        most_skips: the most steps that are skipped in sequence; 0 is no limit.
        first_steps: the steps at the start that are computed in full.
        last_steps: the steps at the end that are computed in full.
    """

    name: ClassVar[str] = "sea_cache"
    config_name: ClassVar[str] = "SeaCacheConfig"

    threshold: float = 0.25
    order: int = 1
    most_skips: int = 2
    first_steps: int = 1
    last_steps: int = 1

    @override
    def _enable(self, pipeline: Any, name: str, denoiser: Any) -> None:
        super()._enable(pipeline, name, denoiser)
        root = hook_of(denoiser, "sea_cache_root")
        if root is not None and root.raw_vision_callback is None:
            denoiser.disable_cache()
            msg = (
                f"{self.name} reads the latents of Wan's text-to-video models and of Cosmos 3 only: on {name} "
                f"({type(denoiser).__name__}) diffusers would compute every step"
            )
            raise RecipeError(msg)

    @override
    def _arguments(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "residual_order": self.order,
            "max_consecutive_cached": self.most_skips,
            "retention_steps": self.first_steps,
            "cache_end_steps": self.last_steps,
        }


@dataclass(frozen=True, kw_only=True)
class TextKvCache(StepCache):
    """Keys and values of the prompt are computed once, before the loop; the result is the same.

    diffusers has it for the blocks of Nucleus-Image. On any other denoiser it changes nothing without a word, so that
    the recipe is an error there.
    """

    name: ClassVar[str] = "text_kv_cache"
    config_name: ClassVar[str] = "TextKVCacheConfig"
    needs_context: ClassVar[bool] = False
    breaks_graphs: ClassVar[bool] = False

    @override
    def _enable(self, pipeline: Any, name: str, denoiser: Any) -> None:
        super()._enable(pipeline, name, denoiser)
        if not any(hook_of(one, "text_kv_cache_block") for one in denoiser.modules()):
            denoiser.disable_cache()
            msg = (
                f"{self.name} caches in the blocks of Nucleus-Image only, and {name} ({type(denoiser).__name__}) has "
                f"none of them"
            )
            raise RecipeError(msg)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        own = [one for one in call.modules if one.component in denoiser_names(pipeline)]
        projected = {(one.module, one.step, one.context): one.count for one in own}
        cached = [
            replace(
                one, count=one.count - projected.get((f"{one.module}.{_TEXT_PROJECTION}", one.step, one.context), 0)
            )
            for one in own
            if one.kind == _TEXT_BLOCK
        ]
        return self.acted(
            "calls of blocks that took the prompt's keys and values from the cache", **summed(cached, call)
        )

    @override
    def _arguments(self) -> dict[str, Any]:
        return {}
