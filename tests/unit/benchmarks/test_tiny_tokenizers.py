"""Test the tokenizer and the processor that replace those of the hub, and which test classes are cases."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.diffusers_tests.cases import Case, cases
from benchmarks.diffusers_tests.tiny_tokenizers import GlmProcessor, Processor, Tokenizer

CHAT = [{"role": "user", "content": "a red circle"}]
IMAGE_CHAT = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a red circle"}]}]
FILE = """
class Base:
    pipeline_class = dict

    def get_dummy_components(self, kind):
        return {}

    def get_dummy_inputs(self):
        return {}


class BaseTests(Base):
    def get_dummy_components(self, kind="full"):
        return {"kind": kind}


class BaseSlowTests(BaseTests):
    pipeline_class = list
"""


def test_a_longer_prompt_has_more_tokens() -> None:
    """A call with another prompt has another length, as with a real tokenizer."""
    short, long = (Tokenizer()(text, return_tensors="pt")["input_ids"] for text in ("a b", "a b, c"))

    assert (short.shape, long.shape) == ((1, 4), (1, 6))


def test_lists_are_padded_to_one_length() -> None:
    """The mask is zero where there is padding; without tensors the numbers are lists."""
    found = Tokenizer()(["a b c", "a"])

    assert [len(one) for one in found.input_ids] == [5, 5]
    assert found.attention_mask == [[1] * 5, [1, 1, 1, 0, 0]]


def test_a_chat_has_the_text_of_its_messages() -> None:
    """As text, and as the numbers of one chat, which are no batch."""
    text = Tokenizer().apply_chat_template(CHAT, tokenize=False)

    assert text == "<|im_start|>user\na red circle<|im_end|>\n"
    assert Tokenizer().apply_chat_template(CHAT)["input_ids"] == Tokenizer()(text)["input_ids"]
    assert Tokenizer().apply_chat_template([CHAT, CHAT], tokenize=False) == [text, text]
    assert Tokenizer().apply_chat_template(CHAT, return_tensors="pt", return_dict=False).shape == (1, 10)


def test_an_image_has_a_token_for_each_of_its_patches() -> None:
    """Qwen's models refuse any other number."""
    processor = Processor()
    text = processor.apply_chat_template(IMAGE_CHAT, tokenize=False)

    found = processor(text, images=[np.zeros((56, 112, 3), np.uint8)], return_tensors="pt")

    is_image = found["input_ids"] == 151655
    assert int(is_image.sum()) == int(found["image_grid_thw"].prod()) // 4 == 8
    assert torch.equal(found["mm_token_type_ids"], is_image.long())


def test_each_prompt_of_glm_has_the_grids_of_its_image_and_of_a_preview() -> None:
    """The model generates a token for each place of the grids."""
    chats = [CHAT, CHAT]

    found = GlmProcessor().apply_chat_template(chats, target_h=64, target_w=128, return_tensors="pt")

    assert found["image_grid_thw"].tolist() == [[1, 2, 4], [1, 16, 16]] * 2
    assert found["images_per_sample"].tolist() == [2, 2]
    assert found["input_ids"].shape == found["attention_mask"].shape == (2, 10)


def test_a_base_that_needs_arguments_is_no_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class that gives the arguments is one, and slow tests are none."""
    file = tmp_path / "test_base.py"
    file.write_text(FILE)
    module = SimpleNamespace(**runpy.run_path(str(file), run_name="made_up"))
    monkeypatch.setattr("benchmarks.diffusers_tests.cases._imported", lambda _: module)

    assert [case.name for case in cases("group", file)] == ["test_base::BaseTests"]


def test_inputs_that_name_no_device_are_given_none() -> None:
    """Another parameter, such as the size of an image, keeps its default."""
    sized = Case(name="a", tests=SimpleNamespace(get_dummy_inputs=lambda size=64: {"size": size}))
    placed = Case(name="b", tests=SimpleNamespace(get_dummy_inputs=lambda device, seed=0: {"on": device, "seed": seed}))

    assert sized.inputs() == {"size": 64}
    assert placed.inputs() == {"on": "cpu", "seed": 0}
