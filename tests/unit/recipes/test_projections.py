"""Fused projections exist and are used in every attention layer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.projections import FuseQkv
from pytest_diffopt.records import OptimizationState


def test_every_layer_is_fused(pipeline: Any) -> None:
    """Self-attention has one projection, cross-attention one for K and V; all are in use."""
    recipe = parse_recipe("fuse_qkv")
    recipe.apply(pipeline)
    block = pipeline.unet.mid_block.attentions[0].transformer_blocks[0]

    assert block.attn1.to_qkv.out_features == 3 * block.attn1.to_q.out_features
    assert block.attn2.to_kv.out_features == 2 * block.attn2.to_k.out_features
    assert recipe.verify(pipeline) == (
        OptimizationState(name="fuse_qkv", found="24 attention layers use fused projections"),
    )


def test_unfused_projections_are_reported(pipeline: Any, does_nothing: Callable[[type[Optimization]], None]) -> None:
    """The layers are counted per module."""
    does_nothing(FuseQkv)
    recipe = parse_recipe("fuse_qkv")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="fuse_qkv",
            found="0 attention layers use fused projections",
            missing=("22 of 22 attention layers of unet are not fused", "2 of 2 attention layers of vae are not fused"),
        ),
    )


def test_unused_fused_projections_are_reported(pipeline: Any) -> None:
    """Fused weights that the processor does not read cost memory and save no time."""
    recipe = parse_recipe("fuse_qkv")
    recipe.apply(pipeline)
    pipeline.unet.set_attn_processor(AttnProcessor2_0())

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="fuse_qkv",
            found="2 attention layers use fused projections",
            missing=(
                "22 of 22 attention layers of unet are fused, but AttnProcessor2_0 does not use the fused weights",
            ),
        ),
    )


def test_a_pipeline_that_cannot_fuse_is_refused() -> None:
    """`apply` raises, and `verify` reports that no layer can be fused."""

    class Pipeline:
        def __init__(self) -> None:
            self.components = {"transformer": torch.nn.Linear(4, 4)}

    pipeline = Pipeline()

    with pytest.raises(RecipeError) as error:
        parse_recipe("fuse_qkv").apply(pipeline)

    assert str(error.value) == "fuse_qkv needs a module with fuse_qkv_projections(), and Pipeline has none"
    assert parse_recipe("fuse_qkv").verify(pipeline) == (
        OptimizationState(
            name="fuse_qkv",
            found="0 attention layers use fused projections",
            missing=("the pipeline has no attention layer that can be fused",),
        ),
    )
