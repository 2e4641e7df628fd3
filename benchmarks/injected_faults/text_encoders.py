"""Faults in the computation of the prompt's embedding."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from transformers.models.clip import modeling_clip

from benchmarks.injected_faults.declaring import InjectedFault, altered, wrapped

_KEPT_TOKENS = 4


def _one_layer_later(forward: Any, *args: Any, **keywords: Any) -> Any:
    output = forward(*args, **keywords)
    output.hidden_states = (*output.hidden_states, output.hidden_states[-1])
    return output


def _cut_off(forward: Any, input_ids: Any, *args: Any, **keywords: Any) -> Any:
    shortened = input_ids.clone()
    shortened[:, _KEPT_TOKENS:] = input_ids[:, -1:]
    return forward(shortened, *args, **keywords)


def _encoders_swapped(encode_prompt: Any, *args: Any, **keywords: Any) -> Any:
    prompt, negative, *pooled = encode_prompt(*args, **keywords)
    swapped = [torch.cat(embeds.chunk(2, dim=-1)[::-1], dim=-1) for embeds in (prompt, negative)]
    return (*swapped, *pooled)


def _unnormed(forward: Any, hidden_states: Any, *args: Any, **keywords: Any) -> Any:
    del forward, args, keywords
    return hidden_states


def _without_causal_mask(forward: Any, *args: Any, **keywords: Any) -> Any:
    return forward(*args, **keywords | {"attention_mask": None, "is_causal": False})


def _positions_from_one(pipeline: Any) -> AbstractContextManager[None]:
    embedding = _part(pipeline.text_encoder, "position_embedding").weight
    return altered({embedding: embedding.detach().roll(-1, dims=0)})


@contextmanager
def _another_padding(pipeline: Any) -> Iterator[None]:
    tokenizer = pipeline.tokenizer_2
    before = tokenizer.pad_token
    tokenizer.pad_token = tokenizer.eos_token
    try:
        yield
    finally:
        tokenizer.pad_token = before


@contextmanager
def _another_activation(pipeline: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for part in pipeline.text_encoder.modules():
            if isinstance(part, modeling_clip.CLIPMLP):
                stack.enter_context(wrapped(part.activation_fn, "forward", _relu))
        yield


def _relu(forward: Any, hidden_states: Any) -> Any:
    del forward
    return torch.nn.functional.relu(hidden_states)


def _part(module: Any, name: str) -> Any:
    """Return the first submodule with a name; its path depends on the release of transformers."""
    return next(part for path, part in module.named_modules() if path.rpartition(".")[2] == name)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="wrong-text-encoder-layer",
        imitates="SDXL gets its text encoders' last layer instead of the penultimate one",
        inject=lambda pipeline: wrapped(pipeline.text_encoder, "forward", _one_layer_later),
    ),
    InjectedFault(
        name="prompt-cut-off",
        imitates="the prompt is truncated after four tokens",
        inject=lambda pipeline: wrapped(pipeline.text_encoder, "forward", _cut_off),
    ),
    InjectedFault(
        name="text-encoders-swapped",
        imitates="the embeddings of the two text encoders are concatenated in reverse order",
        inject=lambda pipeline: wrapped(pipeline, "encode_prompt", _encoders_swapped),
    ),
    InjectedFault(
        name="final-norm-skipped",
        imitates="the text encoder's last layer norm is skipped",
        pipeline="sd15",
        inject=lambda pipeline: wrapped(_part(pipeline.text_encoder, "final_layer_norm"), "forward", _unnormed),
    ),
    InjectedFault(
        name="causal-mask-dropped",
        imitates="CLIP's text encoder attends to later words",
        pipeline="sd15",
        inject=lambda _pipeline: wrapped(modeling_clip.CLIPEncoder, "forward", _without_causal_mask),
    ),
    InjectedFault(
        name="positions-from-one",
        imitates="position ids start at 1",
        pipeline="sd15",
        inject=_positions_from_one,
    ),
    InjectedFault(
        name="another-padding-token",
        imitates="SDXL's second tokenizer pads with the end-of-text token, like the first",
        inject=_another_padding,
    ),
    InjectedFault(
        name="another-activation",
        imitates="the text encoder's hidden_act is lost, and ReLU is used instead",
        pipeline="sd15",
        inject=_another_activation,
    ),
)
