"""Tokenizers that need no download: the bytes of the prompt are its tokens."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

_WORD_END = "</w>"
_SPELLED_OUT, _WHOLE_WORD = -10.0, -1.0  # log-likelihoods: a unigram model takes the likeliest way to cut a prompt


def byte_level_clip_tokenizer(
    *, vocab_size: int = 514, max_length: int = 77, pad_with_end: bool = True, words: Iterable[str] = ()
) -> Any:
    """Build a `CLIPTokenizer` whose vocabulary is the 256 bytes, each within a word and at its end.

    Args:
        vocab_size: the size of the text encoder's vocabulary, at least 514 and what the words' merges need; the start
            and end tokens are its last two, as in CLIP's own, because its text encoder finds the end of the prompt as
            the highest id.
        max_length: tokens of a prompt, start and end included.
        pad_with_end: pad with the end token, as CLIP's first tokenizer does; else with `!`, as OpenCLIP's does.
        words: lower-case words that become one token each; any other is spelled out in the pieces of these and bytes.
    """
    from transformers import CLIPTokenizer  # noqa: PLC0415 - transformers is slow to import
    from transformers.convert_slow_tokenizer import bytes_to_unicode  # noqa: PLC0415 - as above

    letters = list(bytes_to_unicode().values())
    merges = _merges_of(words)
    tokens = [*letters, *(letter + _WORD_END for letter in letters), *map("".join, merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    vocabulary |= {"<|startoftext|>": vocab_size - 2, "<|endoftext|>": vocab_size - 1}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        model_max_length=max_length,
        pad_token="<|endoftext|>" if pad_with_end else "!",
    )


def _merges_of(words: Iterable[str]) -> list[tuple[str, str]]:
    """Train byte-pair encoding until each word is one token: the commonest pair first, the first in order of several.

    Source: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016, algorithm 1.
    """
    spelled = [[*word[:-1], word[-1] + _WORD_END] for word in words]
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


def character_level_t5_tokenizer(*, max_length: int = 512, words: Iterable[str] = ()) -> Any:
    """Build a `T5Tokenizer` whose vocabulary is the printable ASCII characters and the start of a word.

    Args:
        max_length: tokens of a prompt, the end included.
        words: words that become one token each.
    """
    from transformers import T5Tokenizer  # noqa: PLC0415 - transformers is slow to import

    letters = (chr(code) for code in range(ord("!"), ord("~") + 1))
    spelling = [(token, _SPELLED_OUT) for token in ("<pad>", "</s>", "<unk>", "▁", *letters)]
    whole = [(f"▁{word}", _WHOLE_WORD) for word in words]
    return T5Tokenizer(vocab=[*spelling, *whole], extra_ids=0, model_max_length=max_length)
