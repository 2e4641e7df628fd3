"""Tiny encoders of text and images with random weights, of the sizes that diffusers' tests expect."""

from typing import Any

import torch
import transformers
from diffusers import UNet2DModel
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

from benchmarks.diffusers_tests.tiny_tokenizers import PAD

_VOCABULARY = 1000
_HEADS = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
_QWEN_TEXT: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
    "vocab_size": 151936,
}
_T5: dict[str, Any] = {
    "vocab_size": 1103,
    "d_model": 32,
    "d_ff": 37,
    "d_kv": 8,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "dropout_rate": 0.1,
    "pad_token_id": PAD,
    "eos_token_id": 1,
    "decoder_start_token_id": PAD,
}


def t5_config(family: str) -> Any:
    """Return the configuration of a T5 or UMT5."""
    return (transformers.UMT5Config if family == "UMT5" else transformers.T5Config)(**_T5)


def t5(kind: Any) -> Any:
    """Return a T5 or UMT5 of a class."""
    torch.manual_seed(0)
    return kind(t5_config("UMT5" if "UMT5" in kind.__name__ else "T5")).eval()


def bert(kind: Any) -> Any:
    """Return a BERT."""
    torch.manual_seed(0)
    return kind(transformers.BertConfig(vocab_size=_VOCABULARY, hidden_size=32, **_HEADS)).eval()


def chatglm(kind: type[ChatGLMModel]) -> ChatGLMModel:
    """Return a ChatGLM as Kolors uses it."""
    torch.manual_seed(0)
    config = ChatGLMConfig(
        num_layers=2,
        padded_vocab_size=_VOCABULARY,
        hidden_size=8,
        ffn_hidden_size=12,
        kv_channels=4,
        num_attention_heads=2,
        original_rope=True,
    )
    return kind(config, empty_init=False).eval()


def llama(kind: Any) -> Any:
    """Return a Llama."""
    torch.manual_seed(0)
    return kind(transformers.LlamaConfig(vocab_size=_VOCABULARY, hidden_size=16, **_HEADS)).eval()


def gemma3(kind: Any) -> Any:
    """Return a Gemma 3 that sees images."""
    torch.manual_seed(0)
    text = {"vocab_size": _VOCABULARY, "hidden_size": 32, "head_dim": 8, "num_key_value_heads": 2, **_HEADS}
    vision = {"hidden_size": 16, "image_size": 28, "patch_size": 14, **_HEADS}
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    return kind(config).eval()


def qwen2_vl(kind: Any) -> Any:
    """Return a Qwen2-VL."""
    torch.manual_seed(0)
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 16, "num_heads": 2}
    return kind(transformers.Qwen2VLConfig(text_config=_QWEN_TEXT, vision_config=vision)).eval()


def qwen3_vl(kind: Any) -> Any:
    """Return a Qwen3-VL whose patches have the size of Qwen2-VL's processor."""
    torch.manual_seed(0)
    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 16,
        "patch_size": 14,
        "deepstack_visual_indexes": [0],
    }
    return kind(transformers.Qwen3VLConfig(text_config={**_QWEN_TEXT, "head_dim": 8}, vision_config=vision)).eval()


def siglip(kind: Any) -> Any:
    """Return an encoder of images of 30 x 30 pixels."""
    torch.manual_seed(0)
    return kind(transformers.SiglipVisionConfig(hidden_size=32, image_size=30, patch_size=10, **_HEADS)).eval()


def unet(kind: type[UNet2DModel]) -> UNet2DModel:
    """Return a U-Net of images of 32 x 32 pixels, as consistency models have it."""
    torch.manual_seed(0)
    return kind(
        sample_size=32,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        resnet_time_scale_shift="scale_shift",
        downsample_type="resnet",
        upsample_type="resnet",
    ).eval()
