"""An optimization whose figure is zero fails, one that cannot be seen is unwatched, and both are explained."""

from dataclasses import replace

from pytest_diffopt.guards.effects import effect_line, judge_effects
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern, EffectRecord, OptimizationEffect
from tests.unit.guards.guard_examples import SEEN, SUBJECT

BF16 = OptimizationEffect(name="bf16", figure="operations in bfloat16", value=12, per_step={"": (6, 6)})
OFFLOAD = OptimizationEffect(name="model_offload", figure="of weights were off the GPU", value=2**20, unit="bytes")
CACHE = OptimizationEffect(
    name="first_block_cache(threshold=0.1)",
    figure="blocks from the cache",
    value=4,
    per_step={"cond": (0, 4), "uncond": (0, 0)},
    lacking=("nothing was taken from the cache in context 'uncond'",),
)
FUSED = OptimizationEffect(name="fuse_qkv", figure="calls of fused projections", lacking=("22 layers were separate",))
TF32 = OptimizationEffect(name="tf32", figure="products", unseen="only a GPU computes in TF32")


def record(*effects: OptimizationEffect, operations: int = 20) -> EffectRecord:
    """Return the record of a call with these effects."""
    return EffectRecord(subject=SUBJECT, num_steps=2, operations=operations, seen_by="the CPU", effects=effects)


def test_a_recipe_with_effects_passes() -> None:
    """The summary has the figure of each optimization; bytes have a readable unit."""
    verdict = judge_effects(record(BF16, OFFLOAD))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.EFFECT
    assert verdict.summary == "bf16: 12 operations in bfloat16; model_offload: 1.00 MiB of weights were off the GPU"
    assert verdict.explanation == ()
    assert verdict.figures == {"optimizations": 2, "without_effect": 0, "unseen": 0}


def test_a_figure_of_zero_fails() -> None:
    """The failure has the figure and what ran instead."""
    verdict = judge_effects(record(BF16, FUSED))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "no effect: fuse_qkv"
    assert verdict.explanation == (
        "diffopt: 1 of 2 optimizations has no effect, or not everywhere",
        "  fuse_qkv: 0 calls of fused projections",
        "    lacking: 22 layers were separate",
        f"seen in one call on the CPU, {SEEN}",
        "fix how it is applied or how the pipeline is called, or remove it from the recipe",
    )
    assert verdict.figures == {"optimizations": 2, "without_effect": 1, "unseen": 0}


def test_an_effect_in_one_context_only_fails_with_its_steps() -> None:
    """The steps of each context are shown where one of them has none."""
    assert judge_effects(record(CACHE, FUSED)).explanation == (
        "diffopt: 2 of 2 optimizations have no effect, or not everywhere",
        "  first_block_cache(threshold=0.1): 4 blocks from the cache",
        "    per step of 'cond': 0, 4",
        "    per step of 'uncond': 0, 0",
        "    lacking: nothing was taken from the cache in context 'uncond'",
        "  fuse_qkv: 0 calls of fused projections",
        "    lacking: 22 layers were separate",
        f"seen in one call on the CPU, {SEEN}",
        "fix how it is applied or how the pipeline is called, or remove it from the recipe",
    )


def test_an_effect_that_cannot_be_seen_is_unwatched() -> None:
    """The reason is shown, and how to judge it elsewhere only."""
    verdict = judge_effects(record(BF16, TF32))

    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.is_failure
    assert verdict.summary == "effect not seen: tf32"
    assert verdict.explanation == (
        "diffopt: the effect of 1 optimization cannot be seen in this call",
        "  tf32: only a GPU computes in TF32",
        f"seen in one call on the CPU, {SEEN}",
        'run the test where it can be seen, or pass allow_unseen=["tf32"] to judge it only there',
    )


def test_an_allowed_unseen_effect_passes_and_is_shown() -> None:
    """The allowance is the name without keywords; it does not cover an effect that is seen to be zero."""
    assert judge_effects(record(BF16, TF32), allow_unseen=["tf32"]).outcome is Outcome.PASSED
    assert judge_effects(record(TF32), allow_unseen=["tf32"]).summary == "tf32: not seen (only a GPU computes in TF32)"
    assert judge_effects(record(FUSED), allow_unseen=["fuse_qkv"]).outcome is Outcome.REGRESSED


def test_a_zero_figure_counts_more_than_an_unseen_one() -> None:
    """A regression is reported before what is unknown."""
    assert judge_effects(record(TF32, FUSED)).outcome is Outcome.REGRESSED


def test_a_call_without_operations_is_unwatched() -> None:
    """Figures of zero prove nothing if nothing was watched."""
    verdict = judge_effects(record(FUSED, operations=0))

    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.explanation == (
        "diffopt: no matrix product, convolution or attention of the call was seen: nothing was watched",
        "  1 optimization is requested",
        f"seen in one call on the CPU, {SEEN}",
        "the call must run the pipeline's own modules: pass the pipeline itself, and do not replace its modules",
    )


def test_bytes_that_were_passed_to_collectives_are_shown() -> None:
    """Of each step, or of the steps with the least and the most."""
    equal = OptimizationEffect(name="tensor_parallel", figure="collectives", value=4, bytes_per_step=(2048, 2048))
    different = replace(equal, bytes_per_step=(1024, 2048))

    assert effect_line(equal) == "tensor_parallel: 4 collectives, 2.00 KiB passed to them per step"
    assert effect_line(different) == "tensor_parallel: 4 collectives, 1.00 KiB to 2.00 KiB passed to them per step"
