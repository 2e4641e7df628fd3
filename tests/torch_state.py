"""A snapshot of the global state that an optimization could leave changed."""

import os
from typing import Any

import torch
import torch._dynamo.config as dynamo_config
import torch._functorch.config as functorch_config
import torch._inductor.config as inductor_config
from diffusers.models.attention_dispatch import _AttentionBackendRegistry


def torch_state() -> dict[str, Any]:
    """Return torch's global switches and compiler configurations, diffusers' default backend and the environment."""
    configs: dict[str, Any] = {
        "dynamo": dynamo_config,
        "functorch": functorch_config,
        "inductor": inductor_config,
    }
    return {
        **{f"{name}.{key}": value for name, one in configs.items() for key, value in one.get_config_copy().items()},
        **{f"cuda.{name}": value for name, value in _switches(torch.backends.cuda).items()},
        **{f"cudnn.{name}": value for name, value in _attributes(torch.backends.cudnn).items()},
        **{f"mkldnn.{name}": value for name, value in _attributes(torch.backends.mkldnn).items()},
        **{f"matmul.{name}": value for name, value in _attributes(torch.backends.cuda.matmul).items()},
        "matmul precision": torch.get_float32_matmul_precision(),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "threads": torch.get_num_threads(),
        "random state": torch.get_rng_state().sum().item(),
        "attention backend": _AttentionBackendRegistry.get_active_backend()[0],
        "environment": dict(os.environ),
    }


def _switches(module: Any) -> dict[str, object]:
    names = [name for name in dir(module) if name.endswith("_enabled") and name != "is_flash_attention_available"]
    return {name: getattr(module, name)() for name in names}


def _attributes(module: Any) -> dict[str, object]:
    names = ["allow_tf32", "benchmark", "deterministic", "enabled", "fp32_precision"]
    names += ["allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction"]
    return {name: getattr(module, name) for name in names if hasattr(module, name)}
