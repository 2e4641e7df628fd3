"""Tokenizers that need no download: the bytes of the prompt are its tokens."""

from typing import Any


def byte_level_clip_tokenizer(*, vocab_size: int = 514, max_length: int = 77, pad_with_end: bool = True) -> Any:
    """Build a `CLIPTokenizer` whose vocabulary is the 256 bytes, each within a word and at its end, without merges.

    Args:
        vocab_size: the size of the text encoder's vocabulary, at least 514; the start and end tokens are its last two,
            as in CLIP's own, because its text encoder finds the end of the prompt as the highest id.
        max_length: tokens of a prompt, start and end included.
        pad_with_end: pad with the end token, as CLIP's first tokenizer does; else with `!`, as OpenCLIP's does.
    """
    from transformers import CLIPTokenizer  # noqa: PLC0415 - transformers is slow to import
    from transformers.convert_slow_tokenizer import bytes_to_unicode  # noqa: PLC0415 - as above

    letters = list(bytes_to_unicode().values())
    vocabulary = {token: number for number, token in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
    vocabulary |= {"<|startoftext|>": vocab_size - 2, "<|endoftext|>": vocab_size - 1}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=[],
        model_max_length=max_length,
        pad_token="<|endoftext|>" if pad_with_end else "!",
    )


def character_level_t5_tokenizer(*, max_length: int = 512) -> Any:
    """Build a `T5Tokenizer` whose vocabulary is the printable ASCII characters and the start of a word.

    Args:
        max_length: tokens of a prompt, the end included.
    """
    from transformers import T5Tokenizer  # noqa: PLC0415 - transformers is slow to import

    letters = (chr(code) for code in range(ord("!"), ord("~") + 1))
    tokens = ["<pad>", "</s>", "<unk>", "▁", *letters]
    return T5Tokenizer(vocab=[(token, 0.0) for token in tokens], extra_ids=0, model_max_length=max_length)
