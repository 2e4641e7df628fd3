"""Replacements for the tokenizers and encoders that diffusers' tests fetch from the hub.

They have random weights, need no network, and run on both sides, so the outputs stay comparable.
"""

from collections.abc import Callable
from typing import Any

import transformers
from diffusers import UNet2DModel
from diffusers.pipelines.kolors.text_encoder import ChatGLMModel
from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer

from benchmarks.diffusers_tests import tiny_encoders
from benchmarks.diffusers_tests.tiny_tokenizers import GlmProcessor, Processor, Tokenizer

_TOKENIZERS = (
    "AutoTokenizer", "ByT5Tokenizer", "CLIPTokenizer", "GemmaTokenizer", "LlamaTokenizer", "LlamaTokenizerFast",
    "Qwen2Tokenizer", "Qwen2TokenizerFast", "RobertaTokenizer", "T5Tokenizer", "T5TokenizerFast",
    "XLMRobertaTokenizerFast",
)  # fmt: skip
_PROCESSORS = ("AutoProcessor", "Qwen2VLProcessor", "Qwen3VLProcessor")
# Those of images and sounds need no files; the tests leave some of their sizes to the hub.
_FEATURES: dict[str, dict[str, Any]] = {
    "ClapFeatureExtractor": {},
    "DPTImageProcessor": {"size": {"height": 32, "width": 32}},
    "SiglipImageProcessor": {},
}
_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "BertModel": tiny_encoders.bert,
    "Gemma3ForConditionalGeneration": tiny_encoders.gemma3,
    "LlamaForCausalLM": tiny_encoders.llama,
    "Qwen2VLForConditionalGeneration": tiny_encoders.qwen2_vl,
    "Qwen3VLForConditionalGeneration": tiny_encoders.qwen3_vl,
    "SiglipVisionModel": tiny_encoders.siglip,
    "T5EncoderModel": tiny_encoders.t5,
    "T5ForConditionalGeneration": tiny_encoders.t5,
    "UMT5EncoderModel": tiny_encoders.t5,
}


def install() -> None:
    """Replace `from_pretrained` of these classes for the rest of this process."""
    for name in _TOKENIZERS:
        _replace_loader(getattr(transformers, name), lambda *_, **__: Tokenizer())
    for name in _PROCESSORS:
        _replace_loader(getattr(transformers, name), lambda *_, **__: Processor())
    _replace_loader(transformers.GlmImageProcessor, lambda *_, **__: GlmProcessor())
    for name, size in _FEATURES.items():
        _replace_loader(getattr(transformers, name), _with_options(size))
    for name, encoder in _ENCODERS.items():
        _replace_loader(getattr(transformers, name), _without_names(encoder))
    _replace_loader(transformers.AutoConfig, _config)
    _replace_loader(ChatGLMTokenizer, lambda *_, **__: Tokenizer())
    _replace_loader(ChatGLMModel, _without_names(tiny_encoders.chatglm))
    _replace_loader(UNet2DModel, _without_names(tiny_encoders.unet))


def _replace_loader(kind: Any, make: Callable[..., Any]) -> None:
    kind.from_pretrained = classmethod(make)


def _with_options(size: dict[str, Any]) -> Callable[..., Any]:
    return lambda kind, *_, **options: kind(**{**size, **options})


def _without_names(encoder: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda kind, *_, **__: encoder(kind)


def _config(_: Any, *names: Any, **__: Any) -> Any:
    return tiny_encoders.t5_config("UMT5" if "umt5" in str(names).lower() else "T5")
