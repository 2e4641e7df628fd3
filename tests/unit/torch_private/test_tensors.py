"""Default tolerances and the inner tensors of wrapper subclasses."""

import pytest
import torch
from torch.testing import _comparison

from pytest_diffopt._torch_private.tensors import inner_dtypes, tolerances

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/tensors.py"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (_comparison, "default_tolerances"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """The message has the missing name and the module that uses it."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")


def test_tolerances_are_those_of_torch_testing() -> None:
    """The relative tolerance comes first; integers must be equal."""
    assert tolerances(torch.bfloat16) == (1.6e-2, 1e-5)
    assert tolerances(torch.int64) == (0.0, 0.0)


def test_a_plain_tensor_has_no_inner_tensors() -> None:
    """Only wrapper subclasses have inner tensors."""
    assert inner_dtypes(torch.ones(2)) == set()
