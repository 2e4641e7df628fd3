"""Torch has the exceptions of failed compilations under the names that the package uses."""

import pytest
import torch
import torch._dynamo.exc as dynamo_exc
from torch.fx.experimental import symbolic_shapes

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/compile_errors.py"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (dynamo_exc, "Unsupported"),
        (dynamo_exc, "UserError"),
        (dynamo_exc, "UncapturedHigherOrderOpError"),
        (dynamo_exc, "TorchRuntimeError"),
        (symbolic_shapes, "GuardOnDataDependentSymNode"),
        (dynamo_exc, "FailOnRecompileLimitHit"),
        (dynamo_exc, "InvalidBackend"),
        (dynamo_exc, "BackendCompilerFailed"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """The message has the missing name and the module that uses it."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")
