"""The components of the tiny pipelines: architectures and trained weights that the package includes."""

import hashlib
import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from safetensors.torch import load_model

from pytest_diffopt.errors import PipelineError, did_you_mean
from pytest_diffopt.pipelines.instructions import Instruction
from pytest_diffopt.pipelines.moving_scenes import motion_words
from pytest_diffopt.pipelines.published import build_published
from pytest_diffopt.pipelines.scenes import caption_words
from pytest_diffopt.pipelines.tokenizers import (
    byte_level_clip_tokenizer,
    byte_level_qwen_tokenizer,
    character_level_t5_tokenizer,
)

WEIGHTS = files("pytest_diffopt.pipelines") / "weights"
PROVENANCE = "provenance.json"
_PROMPT_TOKENS = 32
_SEED = 0
_VECTOR_NOISE = 0.1
_CLIP_VOCABULARY = 640
_REINSTALL = "reinstall pytest-diffopt, or train the weights again with tools/train_tiny.py"


def build_tiny_component(name: str) -> Any:
    """Build a trained component in float32 and evaluation mode, on torch's default device.

    Args:
        name: a file of `configs/tiny`, such as `sd15-unet`.

    Raises:
        PipelineError: the weights are missing, or their checksum is wrong.
    """
    _check_weights(name)
    component = build_untrained(name)
    load_model(component, str(WEIGHTS / f"{name}.safetensors"))
    return component.eval()


def build_lively_component(name: str) -> Any:
    """Build a component with random weights, large enough that the prompt and each block change the image.

    The weights that a model starts its training with would not do: many blocks add almost nothing then, or exactly
    nothing. The weights are the same in every build.

    Args:
        name: a file of `configs/tiny`, such as `qwen-image-transformer`.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(_seed_of(name))
        component = build_untrained(name)
        with torch.no_grad():
            for parameter in component.parameters():
                _enliven(parameter)
    return component.eval()


def _seed_of(name: str) -> int:
    """Return a seed of its own for the second of two components of one kind (`hunyuan-video-1.5-text-encoder-2`)."""
    number = name.rpartition("-")[2]
    return int(number) if number.isdigit() else _SEED


def _enliven(parameter: torch.Tensor) -> None:
    """Draw weights that keep the size of activations, and vectors near the value that a norm starts with."""
    noise = torch.randn(parameter.shape)
    if parameter.ndim > 1:
        parameter.copy_(noise / math.sqrt(parameter[0].numel()))
    else:
        parameter.copy_(parameter.nan_to_num(0, 0, 0).clamp(0, 1).round() + _VECTOR_NOISE * noise)


def build_untrained(name: str) -> Any:
    """Build a component with random parameters."""
    return build_published("tiny", name)


def tiny_clip_tokenizer(*, pad_with_end: bool = True) -> Any:
    """Build the tokenizer of the tiny CLIP text encoders: each word of the tiny pipelines' captions is one token."""
    return byte_level_clip_tokenizer(
        vocab_size=_CLIP_VOCABULARY, max_length=_PROMPT_TOKENS, pad_with_end=pad_with_end, words=caption_words()
    )


def tiny_t5_tokenizer() -> Any:
    """Build the tokenizer of the tiny T5 text encoder: each word of the tiny pipelines' captions is one token."""
    return character_level_t5_tokenizer(max_length=_PROMPT_TOKENS, words=(*caption_words(), *motion_words()))


def tiny_qwen_tokenizer(instruction: Instruction = Instruction.IMAGE) -> Any:
    """Build the tokenizer of the tiny Qwen text encoders: each word of captions and of an instruction is one token."""
    return byte_level_qwen_tokenizer(words=dict.fromkeys((*instruction.words, *caption_words())))


@cache
def provenance() -> dict[str, dict[str, Any]]:
    """Return the provenance of each component's weights: script, seed, steps, loss, checksum.

    Raises:
        PipelineError: the provenance file is missing or not valid JSON.
    """
    path = WEIGHTS / PROVENANCE
    try:
        known: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        msg = f"the provenance of the tiny pipelines' weights could not be read: {path}: {error}; {_REINSTALL}"
        raise PipelineError(msg) from error
    return known


def checksum(data: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(data).hexdigest()


def _check_weights(name: str) -> None:
    known = provenance()
    if name not in known:
        msg = f"unknown tiny component: {name!r}{did_you_mean(name, known)}; known: {', '.join(sorted(known))}"
        raise PipelineError(msg)
    path, expected = WEIGHTS / f"{name}.safetensors", known[name]["sha256"]
    try:
        found = checksum(path.read_bytes())
    except OSError as error:
        msg = f"the tiny pipelines' weights are missing: {path}: {error.strerror}; {_REINSTALL}"
        raise PipelineError(msg) from error
    if found != expected:
        msg = (
            f"the tiny pipelines' weights were altered: {path} has SHA-256 {found[:12]}, "
            f"expected {expected[:12]} ({PROVENANCE}); {_REINSTALL}"
        )
        raise PipelineError(msg)
