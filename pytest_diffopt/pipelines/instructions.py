"""The words that diffusers' pipelines with a Qwen2.5-VL text encoder put before the prompt.

A pipeline drops the tokens of its instruction by their published number. The tokenizers that code builds therefore need
each of these words as one token, as the published vocabulary has them.
"""

from enum import Enum

_INDENT = " " * 8


class Instruction(Enum):
    """The instruction of a kind of pipeline, by what the published tokenizer turns into one token each."""

    IMAGE = (
        "system user assistant Describe the image by detailing color shape size texture quantity text spatial "
        "relationships of objects and background"
    )
    EDIT = (
        "system user assistant ( ), 's Describe the key features of the input image color shape size texture objects "
        "background then explain how text instruction should alter or modify Generate a new that meets requirements "
        "while maintaining consistency with original where appropriate Picture"
    )
    VIDEO = (
        "system user assistant You are a helpful Describe the video by detailing following aspects The main content "
        "and theme of color shape size texture quantity text spatial relationships objects Actions events behaviors "
        "temporal physical movement changes background environment light style atmosphere camera angles movements "
        "transitions used in"
    )

    @property
    def words(self) -> tuple[str, ...]:
        """The words, and the spaces with which the instruction of a video indents its items."""
        return (*self.value.split(), *((_INDENT,) if self is Instruction.VIDEO else ()))
