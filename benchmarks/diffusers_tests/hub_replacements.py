"""Replacements for the tokenizers and text encoders that diffusers' tests fetch from the hub.

They have random weights, need no network, and run on both sides, so the outputs stay comparable.
"""

import zlib
from collections.abc import Callable
from typing import Any

import torch
import transformers

_WORDS = 50  # size of the vocabulary of words
_FIRST_WORD, _BEGIN, _END, _PAD = 5, 2, 1, 0
_LONGEST = 512
_CHAT = "a b c"
_TOKENIZERS = (
    "AutoTokenizer", "ByT5Tokenizer", "CLIPTokenizer", "GemmaTokenizer", "LlamaTokenizer", "LlamaTokenizerFast",
    "Qwen2Tokenizer", "Qwen2TokenizerFast", "RobertaTokenizer", "T5Tokenizer", "T5TokenizerFast",
    "XLMRobertaTokenizerFast",
)  # fmt: skip
_TEXT_ENCODERS = ("T5EncoderModel", "T5ForConditionalGeneration", "UMT5EncoderModel")
_T5: dict[str, Any] = {
    "vocab_size": 1103,
    "d_model": 32,
    "d_ff": 37,
    "d_kv": 8,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "dropout_rate": 0.1,
    "pad_token_id": _PAD,
    "eos_token_id": _END,
    "decoder_start_token_id": _PAD,
}


class Encoding(dict[str, Any]):
    """Output of a tokenizer: a dictionary whose entries are also attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def to(self, device: Any) -> "Encoding":
        """Move the tensors to a device."""
        return Encoding({name: one.to(device) if torch.is_tensor(one) else one for name, one in self.items()})


class Tokenizer:
    """A tokenizer that hashes words to ids, with the methods that diffusers' pipelines use."""

    model_max_length = 77
    pad_token_id, eos_token_id, bos_token_id, unk_token_id = _PAD, _END, _BEGIN, 3
    pad_token, eos_token, bos_token, unk_token = "<p>", "<e>", "<b>", "<u>"
    padding_side = "right"
    vocab_size = 1000

    def __init__(self) -> None:
        self.additional_special_tokens: list[str] = []
        self.added_tokens_encoder: dict[str, int] = {}
        self.added_tokens_decoder: dict[int, str] = {}

    def __call__(
        self,
        text: Any = ("",),
        *_: Any,
        padding: Any = None,
        max_length: int | None = None,
        return_tensors: str | None = None,
        **__: Any,
    ) -> Encoding:
        """Return the token ids and the attention mask, padded to one length."""
        texts = [text] if isinstance(text, str) else list(text)
        longest = max_length or self.model_max_length
        rows = [self._ids(str(one), longest) for one in texts]
        length = min(longest if padding == "max_length" else max(map(len, rows)), _LONGEST)
        ids: Any = [(row + [_PAD] * length)[:length] for row in rows]
        mask: Any = [([1] * len(row) + [0] * length)[:length] for row in rows]
        if return_tensors == "pt":
            ids, mask = torch.tensor(ids), torch.tensor(mask)
        elif isinstance(text, str):
            ids, mask = ids[0], mask[0]
        return Encoding(input_ids=ids, attention_mask=mask)

    def __len__(self) -> int:
        return self.vocab_size

    @staticmethod
    def _ids(text: str, longest: int) -> list[int]:
        words = [_FIRST_WORD + zlib.crc32(word.encode()) % _WORDS for word in text.split()]
        return [_BEGIN, *words[: longest - 2], _END]

    def batch_decode(self, rows: Any, **_: Any) -> list[str]:
        """Return a constant text for each row."""
        return ["a"] * len(rows)

    def decode(self, *_: Any, **__: Any) -> str:
        """Return a constant text."""
        return "a"

    def encode(self, text: str, **_: Any) -> list[int]:
        """Return the token ids."""
        return self._ids(text, self.model_max_length)

    def tokenize(self, text: str, **_: Any) -> list[str]:
        """Return the words."""
        return text.split()

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Return the same id for every token."""
        return 4 if isinstance(tokens, str) else [4] * len(tokens)

    def apply_chat_template(self, messages: Any, *_: Any, tokenize: bool = True, **options: Any) -> Any:
        """Return the text of a chat, or its token ids."""
        if not tokenize:
            is_batch = isinstance(messages, list) and bool(messages) and isinstance(messages[0], list)
            return [_CHAT] * len(messages) if is_batch else _CHAT
        numbers = self([_CHAT], return_tensors="pt", padding="max_length", max_length=options.get("max_length", 32))
        return numbers if options.get("return_dict") else numbers["input_ids"]

    def get_added_vocab(self) -> dict[str, int]:
        """Return an empty vocabulary: no words were added."""
        return {}

    def save_pretrained(self, *_: Any, **__: Any) -> None:
        """Save nothing: the tokenizer is created again when it is needed."""


def install() -> None:
    """Replace `from_pretrained` of transformers' classes for the rest of this process."""
    for name in _TOKENIZERS:
        _replace_loader(name, lambda *_: Tokenizer())
    for name in _TEXT_ENCODERS:
        _replace_loader(name, lambda kind, *_: _text_encoder(kind))
    _replace_loader("AutoConfig", lambda _, *names: _config("UMT5" if "umt5" in str(names).lower() else "T5"))


def _replace_loader(name: str, make: Callable[..., Any]) -> None:
    def from_pretrained(cls: type, *names: Any, **_: Any) -> Any:
        return make(cls, *names)

    found: Any = getattr(transformers, name)
    found.from_pretrained = classmethod(from_pretrained)


def _config(family: str) -> Any:
    return (transformers.UMT5Config if family == "UMT5" else transformers.T5Config)(**_T5)


def _text_encoder(kind: Any) -> Any:
    torch.manual_seed(0)
    return kind(_config("UMT5" if "UMT5" in kind.__name__ else "T5")).eval()
