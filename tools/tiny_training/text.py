"""Encodes prompts for the tiny denoisers exactly as the pipelines do."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch

from pytest_diffopt.pipelines.tiny import tiny_clip_tokenizer, tiny_qwen_tokenizer, tiny_t5_tokenizer

_UNCONDITIONAL = 0.1  # the fraction of empty prompts, for classifier-free guidance


def with_some_empty(captions: Sequence[str], generator: torch.Generator) -> list[str]:
    """Return the captions with a random tenth of them replaced by the empty prompt."""
    rolls = torch.rand(len(captions), generator=generator).tolist()
    return ["" if roll < _UNCONDITIONAL else caption for caption, roll in zip(captions, rolls, strict=True)]


def clip_output(encoder: Any, captions: Sequence[str], *, pad_with_end: bool = True) -> Any:
    """Run a CLIP text encoder; the output has its last hidden state, all hidden states and the pooled embedding."""
    return encoder(_tokens(_clip(pad_with_end=pad_with_end), captions).input_ids, output_hidden_states=True)


def t5_hidden(encoder: Any, captions: Sequence[str], *, masked: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the T5 encoder, with or without its attention mask.

    Returns:
        The hidden states (batch, tokens, width) and the mask (batch, tokens).
    """
    tokens = _tokens(_t5(), captions)
    mask = tokens.attention_mask
    return encoder(tokens.input_ids, attention_mask=mask if masked else None)[0], mask


def umt5_hidden(encoder: Any, captions: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a UMT5 encoder; hidden states after the prompt are zero, as in Wan's pipeline.

    Returns:
        The hidden states (batch, tokens, width) and the mask (batch, tokens).
    """
    hidden, mask = t5_hidden(encoder, captions, masked=True)
    return hidden * mask[..., None], mask.bool()


def qwen_output(encoder: Any, captions: Sequence[str]) -> tuple[Any, torch.Tensor]:
    """Run a Qwen3 encoder on the captions, each in the chat template.

    Returns:
        The output, which has all hidden states (batch, tokens, width), and the mask (batch, tokens).
    """
    messages = [[{"role": "user", "content": caption}] for caption in captions]
    prompts = [_qwen().apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in messages]
    tokens = _qwen()(prompts, padding=True, return_tensors="pt")
    mask = tokens.attention_mask.bool()
    return encoder(tokens.input_ids, attention_mask=mask, output_hidden_states=True), mask


def encoded_once(
    known: dict[str, torch.Tensor], prompts: Sequence[str], encode: Callable[[list[str]], Iterable[torch.Tensor]]
) -> list[torch.Tensor]:
    """Return the output of a text encoder that is not trained for each prompt; many prompts of a training are equal.

    Args:
        known: the outputs so far, to which those of new prompts are added.
        prompts: the prompts.
        encode: encodes several prompts.
    """
    new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
    if new:
        known |= dict(zip(new, encode(new), strict=True))
    return [known[prompt] for prompt in prompts]


def _tokens(tokenizer: Any, captions: Sequence[str]) -> Any:
    return tokenizer(list(captions), padding="max_length", truncation=True, return_tensors="pt")


@cache
def _clip(*, pad_with_end: bool) -> Any:
    return tiny_clip_tokenizer(pad_with_end=pad_with_end)


@cache
def _t5() -> Any:
    return tiny_t5_tokenizer()


@cache
def _qwen() -> Any:
    return tiny_qwen_tokenizer()
