"""Tokenizers without a download: bytes are tokens, between CLIP's start and end."""

from typing import Any

import pytest

from pytest_diffopt.pipelines.tokenizers import byte_level_clip_tokenizer


def ids(tokenizer: Any, prompt: str) -> list[int]:
    """Encode a prompt as pipelines do, padded to the full length."""
    encoded: list[int] = tokenizer(prompt, padding="max_length", max_length=77, truncation=True).input_ids
    return encoded


@pytest.mark.parametrize("vocab_size", [514, 49408])
def test_start_and_end_are_the_last_two_ids(vocab_size: int) -> None:
    """CLIP's text encoder finds the end of a prompt as the highest id."""
    encoded = ids(byte_level_clip_tokenizer(vocab_size=vocab_size), "red")

    assert len(encoded) == 77
    assert encoded[0] == vocab_size - 2
    assert encoded[4:] == [vocab_size - 1] * 73
    assert max(encoded) == vocab_size - 1


def test_the_second_tokenizer_pads_with_another_token() -> None:
    """As OpenCLIP's does."""
    encoded = ids(byte_level_clip_tokenizer(pad_with_end=False), "red")

    assert encoded.count(513) == 1
    assert set(encoded[5:]) == {0}


def test_different_prompts_have_different_tokens() -> None:
    """A prompt that changes must reach the text encoder."""
    tokenizer = byte_level_clip_tokenizer()

    assert ids(tokenizer, "a red circle") != ids(tokenizer, "a blue square")
    assert len(ids(tokenizer, "word " * 100)) == 77
