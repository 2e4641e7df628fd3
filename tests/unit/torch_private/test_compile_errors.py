"""The errors of a failed compilation are where this package looks for them."""

import pytest
import torch
import torch._dynamo.exc as dynamo_exc

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/compile_errors.py"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (dynamo_exc, "Unsupported"),
        (dynamo_exc, "FailOnRecompileLimitHit"),
        (dynamo_exc, "InvalidBackend"),
        (dynamo_exc, "BackendCompilerFailed"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """The message says which one is gone, and where it is used."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")
