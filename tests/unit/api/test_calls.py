"""Keywords of the call are separated from those of the assertion."""

import re
from typing import Any

import pytest
from torch import nn

from pytest_diffopt import PipelineInputs
from pytest_diffopt.api.calls import call_arguments
from pytest_diffopt.errors import ProbeError


class Pipeline:
    """A pipeline whose call and an assertion have a keyword in common."""

    def __call__(self, prompt: str = "", by: float = 1.0) -> tuple[str, float]:
        """Return the arguments."""
        return prompt, by


class Layer(nn.Module):
    """A module whose forward and an assertion have a keyword in common."""

    def forward(self, hidden: Any, margin: float = 0.0) -> Any:
        """Return the arguments."""
        return hidden, margin


def test_other_keywords_belong_to_the_call() -> None:
    """Without a collision they can be passed directly."""
    arguments = call_arguments(Pipeline(), (1,), {"prompt": "a"}, asserted_by="assert_x", own=("recipe",))

    assert (arguments.positional, arguments.keywords) == ((1,), {"prompt": "a"})


def test_positional_inputs_are_the_keywords_of_the_call() -> None:
    """Their names may equal the assertion's; other keywords are added."""
    inputs = PipelineInputs({"by": 3.0}, seed=None)
    arguments = call_arguments(Pipeline(), (inputs,), {"prompt": "a"}, asserted_by="assert_faster", own=("by",))

    assert arguments.positional == ()
    assert dict(arguments.keywords) == {"by": 3.0, "prompt": "a"}


@pytest.mark.parametrize(
    ("target", "keyword"), [(Pipeline(), "by"), (Layer(), "margin"), (lambda reason: reason, "reason")]
)
def test_a_colliding_keyword_is_refused(target: Any, keyword: str) -> None:
    """Passed or not, it could belong to the call or to the assertion."""
    message = f"{keyword} is a keyword of assert_x and of {type(target).__name__}: pass the call's keywords as one"
    with pytest.raises(ProbeError, match=re.escape(message)):
        call_arguments(target, (), {}, asserted_by="assert_x", own=("by", "margin", "reason"))


@pytest.mark.parametrize(
    ("args", "keywords", "shown"),
    [
        ((PipelineInputs({}), PipelineInputs({})), {}, "got: 2 PipelineInputs"),
        ((PipelineInputs({"prompt": "a"}),), {"prompt": "b"}, "got: prompt twice"),
    ],
)
def test_keywords_given_twice_are_refused(args: tuple[Any, ...], keywords: dict[str, Any], shown: str) -> None:
    """Either value could be the intended one."""
    with pytest.raises(ProbeError, match=f"assert_x takes the call's keywords once, {shown}"):
        call_arguments(Pipeline(), args, keywords, asserted_by="assert_x")


def test_a_target_without_a_signature_has_no_keywords() -> None:
    """Some builtins have no signature."""
    assert not call_arguments(iter, (), {}, asserted_by="assert_x", own=("by",))
