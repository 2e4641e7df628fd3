"""The pipeline of each file."""

import models
import pytest
import torch


@pytest.fixture(scope="module")
def optimized_pipeline() -> torch.nn.Module:
    """Return a compiled model."""
    return models.compiled(models.Denoiser())
