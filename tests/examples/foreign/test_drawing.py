"""A project that calls a diffusers pipeline, and has no guard."""

import diffusers
import pytest
import torch
from diffusers.models.attention_dispatch import _AttentionBackendRegistry


@pytest.fixture(scope="module")
def pipeline() -> diffusers.DDIMPipeline:
    """Return a pipeline of one small layer."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(4, 4),
        norm_num_groups=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        layers_per_block=1,
    )
    drawing = diffusers.DDIMPipeline(unet, diffusers.DDIMScheduler())
    drawing.set_progress_bar_config(disable=True)
    return drawing


def draw(pipeline: diffusers.DDIMPipeline, seed: int) -> torch.Tensor:
    """Return an image."""
    image = pipeline(num_inference_steps=2, generator=torch.Generator().manual_seed(seed), output_type="np").images
    return torch.as_tensor(image)


def test_a_seed_has_one_image(pipeline: diffusers.DDIMPipeline) -> None:
    """Pass."""
    assert torch.equal(draw(pipeline, 1), draw(pipeline, 1))
    assert not torch.equal(draw(pipeline, 1), draw(pipeline, 2))


def test_compiled_image(pipeline: diffusers.DDIMPipeline) -> None:
    """Pass: with a compiled part the model draws the same image."""
    plain, embedding = draw(pipeline, 1), pipeline.unet.time_embedding
    pipeline.unet.time_embedding = torch.compile(embedding, backend="eager")
    try:
        torch.testing.assert_close(draw(pipeline, 1), plain)
    finally:
        pipeline.unet.time_embedding = embedding


def test_half_precision_noise() -> None:
    """Pass: noise in half precision is torch's own, not that of another precision."""
    single = torch.randn(64, generator=torch.Generator().manual_seed(3))
    half = torch.randn(64, generator=torch.Generator().manual_seed(3), dtype=torch.bfloat16)
    assert half.dtype is torch.bfloat16
    assert half.shape == single.shape


def test_attention_backend() -> None:
    """Pass: diffusers has its default."""
    assert _AttentionBackendRegistry.get_active_backend()[0].value == "native"


def test_offload(pipeline: diffusers.DDIMPipeline) -> None:
    """Pass: diffusers' own hooks run and can be removed."""
    plain = draw(pipeline, 1)
    diffusers.hooks.apply_group_offloading(pipeline.unet, torch.device("cpu"), offload_type="leaf_level")
    try:
        torch.testing.assert_close(draw(pipeline, 1), plain)
    finally:
        for module in pipeline.unet.modules():
            if hasattr(module, "_diffusers_hook"):
                module._diffusers_hook.remove_hook("group_offloading", recurse=False)
