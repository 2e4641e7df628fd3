"""The pipeline of each file."""

import models  # type: ignore[import-not-found] # the project is copied into a folder of its own
import pytest
import torch


@pytest.fixture(scope="module")
def optimized_pipeline() -> torch.nn.Module:
    """Return a compiled model."""
    model: torch.nn.Module = models.compiled(models.Denoiser())
    return model
