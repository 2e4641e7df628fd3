"""Tokenizers that need no download: their tokens are the bytes or characters of the prompt."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import transformers
from transformers.convert_slow_tokenizer import bytes_to_unicode

_WORD_END = "</w>"
# Log-likelihoods of characters and of whole words: a unigram model selects the most likely segmentation of a prompt.
_CHARACTER, _WHOLE_WORD = -10.0, -1.0
_QWEN_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
)
_GEMMA_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
# The roles and texts of Qwen's published template, without its tools and images.
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_clip_tokenizer(
    *, vocab_size: int = 514, max_length: int = 77, pad_with_end: bool = True, words: Iterable[str] = ()
) -> Any:
    """Build a `CLIPTokenizer` whose vocabulary is the 256 bytes, each within a word and at the end of a word.

    Args:
        vocab_size: the size of the text encoder's vocabulary, at least 514 plus the number of merges for `words`. As
            in CLIP, the last two ids are the start and end tokens: the text encoder finds the end of the prompt by the
            highest id.
        max_length: the number of tokens of a prompt, including start and end.
        pad_with_end: pad with the end token, like CLIP's tokenizer; else with `!`, like OpenCLIP's.
        words: lower-case words that become one token each; other words are split into merges of these words and bytes.
    """
    letters = list(bytes_to_unicode().values())
    merges = _merges_of(words)
    tokens = [*letters, *(letter + _WORD_END for letter in letters), *map("".join, merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    vocabulary |= {"<|startoftext|>": vocab_size - 2, "<|endoftext|>": vocab_size - 1}
    return transformers.CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        model_max_length=max_length,
        pad_token="<|endoftext|>" if pad_with_end else "!",
    )


def _merges_of(words: Iterable[str]) -> list[tuple[str, str]]:
    """Return the merges that make each word one token, with CLIP's mark at the end of a word."""
    return _trained_merges([[*word[:-1], word[-1] + _WORD_END] for word in words])


def _trained_merges(spelled: list[list[str]]) -> list[tuple[str, str]]:
    """Train byte-pair encoding until each spelled word is one token: most frequent pair first, ties in lexical order.

    Source: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016, algorithm 1.
    """
    merges = []
    while pairs := Counter(pair for symbols in spelled for pair in pairwise(symbols)):
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        spelled = [_merged(symbols, merges[-1]) for symbols in spelled]
    return merges


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


def byte_level_qwen_tokenizer(*, max_length: int = 2048, words: Iterable[str] = ()) -> Any:
    """Build a `Qwen2Tokenizer` whose vocabulary is the 256 bytes, Qwen's special tokens, and words.

    Args:
        max_length: the number of tokens of a prompt.
        words: words that become one token each, alone and after a space. The words of the instruction that a pipeline
            puts before the prompt must be among them: the pipeline drops its tokens by their published number.
    """
    letters = bytes_to_unicode()
    spelled = [[letters[byte] for byte in text.encode()] for word in words for text in (word, f" {word}")]
    merges = _trained_merges(spelled)
    tokens = [*letters.values(), *_QWEN_SPECIAL, *dict.fromkeys(map("".join, merges))]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=merges,
        model_max_length=max_length,
        additional_special_tokens=list(_QWEN_SPECIAL[1:]),
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def character_level_t5_tokenizer(*, max_length: int = 512, words: Iterable[str] = ()) -> Any:
    """Build a `T5Tokenizer` whose vocabulary is the printable ASCII characters and the start of a word.

    Args:
        max_length: the number of tokens of a prompt, including the end.
        words: words that become one token each.
    """
    letters = (chr(code) for code in range(ord("!"), ord("~") + 1))
    spelling = [(token, _CHARACTER) for token in ("<pad>", "</s>", "<unk>", "▁", *letters)]
    whole = [(f"▁{word}", _WHOLE_WORD) for word in words]
    return transformers.T5Tokenizer(vocab=[*spelling, *whole], extra_ids=0, model_max_length=max_length)


def character_level_gemma_tokenizer() -> Any:
    """Build a `GemmaTokenizer` whose vocabulary is Gemma's special tokens, the mark of a space and printable ASCII."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    tokens = [*_GEMMA_SPECIAL, "▁", *letters, "\n"]
    return transformers.GemmaTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
