"""What Dynamo knows since its last reset is where the package looks for it."""

from collections.abc import Iterator

import pytest
import torch
from torch._dynamo import convert_frame

from pytest_diffopt._torch_private.dynamo_state import (
    DynamoState,
    frames_since_reset,
    is_known_to_dynamo,
    reset_dynamo,
)

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/dynamo_state.py"


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> Iterator[None]:
    reset_dynamo()
    yield
    reset_dynamo()


@pytest.mark.parametrize("name", ["input_codes", "FRAME_COUNTER", "FRAME_COMPILE_COUNTER"])
def test_every_private_name_is_there(name: str) -> None:
    """The message has the missing name and the module that uses it."""
    assert hasattr(convert_frame, name), MOVED.format(f"torch._dynamo.convert_frame.{name}")


def test_a_compiled_function_is_known_until_the_reset() -> None:
    """So are its number and the next one."""

    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    before = (is_known_to_dynamo(doubled.__code__), frames_since_reset())
    torch.compile(doubled, backend="eager")(torch.ones(2))
    after = (is_known_to_dynamo(doubled.__code__), frames_since_reset())
    reset_dynamo()

    assert before == (False, 0)
    assert after == (True, 1)
    assert (is_known_to_dynamo(doubled.__code__), frames_since_reset()) == before


def test_a_state_is_compared_with_the_present_one() -> None:
    """New functions, compilations of known ones, and a reset are distinguished."""

    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    compiled = torch.compile(doubled, backend="eager", dynamic=False)
    before = DynamoState()
    compiled(torch.ones(2))
    new = (before.is_reset, before.num_new_frames, before.is_recompiled)
    known = DynamoState()
    compiled(torch.ones(3))
    recompiled = (known.is_reset, known.num_new_frames, known.is_recompiled)
    reset_dynamo()
    compiled(torch.ones(2))
    after_reset = (known.is_reset, known.num_new_frames, known.is_recompiled)

    assert new == (False, 1, False)
    assert recompiled == (False, 0, True)
    assert after_reset == (True, 1, False)
