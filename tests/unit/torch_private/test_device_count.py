"""Torch reports one accelerator for each process while a block runs, and its own number after it."""

import pytest
import torch

from pytest_diffopt._torch_private.device_count import a_device_for_each_process


def test_the_number_is_restored() -> None:
    """Also after an error."""
    before = torch.accelerator.device_count
    with a_device_for_each_process(3):
        assert torch.accelerator.device_count() == 3
    with pytest.raises(ZeroDivisionError), a_device_for_each_process(3):
        raise ZeroDivisionError

    assert torch.accelerator.device_count is before
