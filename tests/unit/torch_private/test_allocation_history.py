"""The names of torch that record the allocator's history; `on_null_gpu/test_null_memory.py` uses them on CUDA."""

import inspect

import pytest
import torch

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/allocation_history.py"


@pytest.mark.parametrize("name", ["_record_memory_history", "_snapshot"])
def test_every_private_name_is_there(name: str) -> None:
    """The message has the missing name and the module that uses it."""
    assert hasattr(torch.cuda.memory, name), MOVED.format(f"torch.cuda.memory.{name}")


def test_every_option_of_the_history_is_known() -> None:
    """The function itself takes any option, and only its signature names them."""
    known = inspect.signature(torch.cuda.memory._record_memory_history).parameters

    assert {"enabled", "context", "stacks", "max_entries", "clear_history"} <= known.keys()
