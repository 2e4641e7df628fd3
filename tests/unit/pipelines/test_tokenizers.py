"""The tokenizers accept any prompt, like CLIP's and T5's, without a download."""

from pytest_diffopt.pipelines.tokenizers import byte_level_clip_tokenizer, character_level_t5_tokenizer


def test_every_byte_is_a_token_with_a_second_one_at_the_end_of_a_word() -> None:
    """Start and end are the last two ids: CLIP finds the end of the prompt by the highest id."""
    tokenizer = byte_level_clip_tokenizer()
    ids = tokenizer("a red")["input_ids"]

    assert ids == [512, 320, 81, 68, 323, 513]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<|startoftext|>", "a</w>", "r", "e", "d</w>", "<|endoftext|>"]


def test_non_ascii_bytes_are_tokens_too() -> None:
    """No prompt has an unknown token."""
    assert byte_level_clip_tokenizer()("é!")["input_ids"] == [512, 127, 358, 256, 513]


def test_a_prompt_is_padded_with_the_end_or_with_the_first_token() -> None:
    """CLIP's tokenizer pads with the end token, OpenCLIP's with `!`, which is token 0."""
    first = byte_level_clip_tokenizer(max_length=8)
    second = byte_level_clip_tokenizer(max_length=8, pad_with_end=False)

    assert first("ab", padding="max_length")["input_ids"] == [512, 64, 321, 513, 513, 513, 513, 513]
    assert second("ab", padding="max_length")["input_ids"] == [512, 64, 321, 513, 0, 0, 0, 0]


def test_a_truncated_prompt_keeps_its_end_token() -> None:
    """The length includes start and end."""
    tokenizer = byte_level_clip_tokenizer()
    ids = tokenizer("x" * 100, truncation=True)["input_ids"]

    assert (len(ids), ids[0], ids[-1]) == (77, 512, 513)


def test_the_ids_fit_the_published_vocabulary() -> None:
    """The ids of start and end depend on the vocabulary size; the ids of bytes do not."""
    tokenizer = byte_level_clip_tokenizer(vocab_size=49408)

    assert tokenizer("ab")["input_ids"] == [49406, 64, 321, 49407]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (49406, 49407, 49407)


def test_a_known_word_is_one_token() -> None:
    """Its merges are tokens of the vocabulary; an unknown word is split into merges of known words and bytes."""
    tokenizer = byte_level_clip_tokenizer(vocab_size=530, words=("red", "blue"))

    assert tokenizer.tokenize("red blue") == ["red</w>", "blue</w>"]
    assert tokenizer.tokenize("bread") == ["b", "r", "e", "a", "d</w>"]
    assert max(tokenizer.get_vocab().values()) == 529


def test_t5_has_one_token_per_known_word_and_splits_others() -> None:
    """The most likely segmentation of a prompt has the fewest pieces."""
    tokenizer = character_level_t5_tokenizer(words=("red",))

    assert tokenizer.tokenize("red") == ["▁red"]
    assert tokenizer.tokenize("bed") == ["▁", "b", "e", "d"]
