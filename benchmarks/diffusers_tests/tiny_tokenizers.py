"""A tokenizer and a processor without files: words become numbers by their hash."""

import re
import zlib
from typing import Any

import torch
import transformers

_WORDS = 50  # size of the vocabulary of words
_FIRST_WORD, _BEGIN, _END, PAD = 5, 2, 1, 0
_MOST_PADDED = 512
# Words, punctuation, ends of lines and special tokens, about as many as a real tokenizer returns: some pipelines remove
# the tokens of their template by number.
_TOKEN = re.compile(r"<\|\w+\|>|\w+|[^\w\s]|\n")
_IMAGE = "<|image_pad|>"
_IMAGE_IN_TEXT = f"<|vision_start|>{_IMAGE}<|vision_end|>"
_QWEN_VOCABULARY = 151936
_QWEN_SPECIAL = {"<|vision_start|>": 151652, "<|vision_end|>": 151653, _IMAGE: 151655}
_QWEN_LONGEST = 32768
_GLM_PATCH = 32  # width of the pixels that one token describes
_GLM_PREVIEW = 16  # tokens of a square preview in each direction


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
    pad_token_id, eos_token_id, bos_token_id, unk_token_id = PAD, _END, _BEGIN, 3
    pad_token, eos_token, bos_token, unk_token = "<p>", "<e>", "<b>", "<u>"
    padding_side = "right"
    vocab_size = 1000
    special: dict[str, int] = {}  # noqa: RUF012 - no instance changes it

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
        """Return the token ids, the attention mask and the positions, padded to one length."""
        texts = [text] if isinstance(text, str) else list(text)
        longest = max_length or self.model_max_length
        rows = [self._ids(str(one), longest) for one in texts]
        length = min(longest, _MOST_PADDED) if padding == "max_length" else max(map(len, rows))
        found: dict[str, Any] = {
            "input_ids": [(row + [PAD] * length)[:length] for row in rows],
            "attention_mask": [([1] * len(row) + [0] * length)[:length] for row in rows],
            "position_ids": [list(range(length)) for _row in rows],
        }
        if return_tensors == "pt":
            return Encoding({name: torch.tensor(one) for name, one in found.items()})
        return Encoding({name: one[0] for name, one in found.items()} if isinstance(text, str) else found)

    def __len__(self) -> int:
        return self.vocab_size

    def _ids(self, text: str, longest: int) -> list[int]:
        words = [self._id(word) for word in _TOKEN.findall(text)]
        return [_BEGIN, *words[: longest - 2], _END]

    def _id(self, word: str) -> int:
        return self.special.get(word, _FIRST_WORD + zlib.crc32(word.encode()) % _WORDS)

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
        return _TOKEN.findall(text)

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Return the same id for every token."""
        return 4 if isinstance(tokens, str) else [4] * len(tokens)

    def apply_chat_template(
        self, messages: Any, *_: Any, tokenize: bool = True, return_dict: bool = True, **options: Any
    ) -> Any:
        """Return the text of a chat or of several, or their token ids."""
        is_batch = isinstance(messages, list) and bool(messages) and isinstance(messages[0], list)
        text = [_chat(one) for one in messages] if is_batch else _chat(messages)
        if not tokenize:
            return text
        encoding = self(text, **options)
        return encoding if return_dict else encoding["input_ids"]

    def get_added_vocab(self) -> dict[str, int]:
        """Return an empty vocabulary: no words were added."""
        return {}

    def save_pretrained(self, *_: Any, **__: Any) -> None:
        """Save nothing: the tokenizer is created again when it is needed."""


def _chat(messages: Any) -> str:
    return "".join(f"<|im_start|>{one['role']}\n{_content(one['content'])}<|im_end|>\n" for one in messages)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(one["text"] if one["type"] == "text" else _IMAGE_IN_TEXT for one in content)


class _QwenTokenizer(Tokenizer):
    """A tokenizer with the special tokens of Qwen's models, which see images."""

    model_max_length = _QWEN_LONGEST
    vocab_size = _QWEN_VOCABULARY
    special = _QWEN_SPECIAL


class Processor:
    """A tokenizer and Qwen's processor of images, with the methods that diffusers' pipelines use."""

    def __init__(self) -> None:
        self.tokenizer = _QwenTokenizer()
        self.image_processor = transformers.Qwen2VLImageProcessor()
        self.image_token = _IMAGE

    def __call__(self, text: Any = ("",), images: Any = None, **options: Any) -> Encoding:
        """Return the token ids, and the pixels of the images, each of which has as many tokens as it has patches."""
        texts = [text] if isinstance(text, str) else list(text)
        if images is None:
            return self.tokenizer(texts, **options)
        pixels = self.image_processor(images=images, return_tensors="pt")
        lengths = iter(pixels["image_grid_thw"].prod(dim=1) // self.image_processor.merge_size**2)
        parts = (one.split(_IMAGE) for one in texts)
        filled = [first + "".join(_IMAGE * int(next(lengths)) + one for one in rest) for first, *rest in parts]
        found = self.tokenizer(filled, **options)
        kinds = (found["input_ids"] == _QWEN_SPECIAL[_IMAGE]).long()
        return Encoding({**found, **pixels, "mm_token_type_ids": kinds})

    def __getattr__(self, name: str) -> Any:
        if name == "tokenizer":  # while a copy is made
            raise AttributeError(name)
        return getattr(self.tokenizer, name)


class GlmProcessor(Tokenizer):
    """GLM-Image's processor of prompts without images: tokens, and the grids of the images that the model generates."""

    def apply_chat_template(
        self, messages: Any, *_: Any, tokenize: bool = True, return_dict: bool = True, **options: Any
    ) -> Any:
        """Return the tokens of several chats, and for each the grid of its image and of a preview."""
        found = super().apply_chat_template(messages, tokenize=tokenize, return_dict=return_dict, **options)
        height, width = (options[name] // _GLM_PATCH for name in ("target_h", "target_w"))
        grids = [[1, height, width], [1, _GLM_PREVIEW, _GLM_PREVIEW]]
        return Encoding(
            input_ids=found["input_ids"],
            attention_mask=found["attention_mask"],
            image_grid_thw=torch.tensor(grids * len(messages)),
            images_per_sample=torch.tensor([len(grids)] * len(messages)),
        )
