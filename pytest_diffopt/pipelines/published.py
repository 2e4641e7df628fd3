"""The published architectures as JSON files: one per component, with its class and constructor arguments."""

import json
from importlib import import_module
from importlib.resources import files
from typing import Any

import torch
import transformers

_CONFIGS = files("pytest_diffopt.pipelines") / "configs"
_TEXT_CONFIGS = {
    "CLIPTextModel": "CLIPTextConfig",
    "CLIPTextModelWithProjection": "CLIPTextConfig",
    "Gemma2Model": "Gemma2Config",
    "Gemma3ForConditionalGeneration": "Gemma3Config",
    "Qwen2_5_VLForConditionalGeneration": "Qwen2_5_VLConfig",
    "Qwen2_5_VLTextModel": "Qwen2_5_VLTextConfig",
    "Qwen3ForCausalLM": "Qwen3Config",
    "Qwen3Model": "Qwen3Config",
    "T5EncoderModel": "T5Config",
    "UMT5EncoderModel": "UMT5Config",
}

# What diffusers exports with its pipeline alone.
_HOMES = {"LTX2TextConnectors": "diffusers.pipelines.ltx2", "LTX2Vocoder": "diffusers.pipelines.ltx2"}


def published_config(repository: str, component: str) -> dict[str, Any]:
    """Return the configuration of a component, `_class_name` included."""
    text = (_CONFIGS / repository / f"{component}.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config


def build_published(repository: str, component: str) -> Any:
    """Build a component with its published architecture and random parameters, on torch's default device.

    As with `from_pretrained`, a model is in evaluation mode (in training mode T5 has a dropout rate of 0.1), and a
    scheduler or guider is on the CPU (diffusers converts a scheduler's tables to numpy arrays).
    """
    config = published_config(repository, component)
    class_name = config.pop("_class_name")
    if class_name in _TEXT_CONFIGS:
        text_config = getattr(transformers, _TEXT_CONFIGS[class_name])(**config)
        return getattr(transformers, class_name)(text_config).eval()
    kind = getattr(import_module(_HOMES.get(class_name, "diffusers")), class_name)
    if issubclass(kind, torch.nn.Module):
        return kind(**config).eval()
    with torch.device("cpu"):
        return kind(**config)
