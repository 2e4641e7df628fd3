"""`all_gather` takes tensors of different sizes while a block runs, and is torch's own after it."""

from collections.abc import Sequence

import pytest
import torch
from torch import distributed

from pytest_diffopt._torch_private.gloo_gathering import any_sizes_gathered

#: What two processes gather: three values and two, or one each.
OF_DIFFERENT_SIZES = [torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[4.0], [5.0]])]
OF_ONE_SIZE = [torch.tensor([6.0]), torch.tensor([7.0])]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("parts", [OF_DIFFERENT_SIZES, OF_ONE_SIZE], ids=["different sizes", "one size"])
def test_each_process_gets_all_values(rank: int, parts: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """By one collective, in which all tensors have one size as gloo requires."""
    calls = []

    def gather(results: Sequence[torch.Tensor], tensor: torch.Tensor) -> None:
        calls.append(tensor.shape)
        assert {one.shape for one in results} == {tensor.shape}
        for result, part in zip(results, parts, strict=True):
            result.flatten()[: part.numel()] = part.flatten()

    monkeypatch.setattr(distributed, "all_gather", gather)
    results = [torch.empty_like(part) for part in parts]
    with any_sizes_gathered():
        distributed.all_gather(results, parts[rank])

    assert all(map(torch.equal, results, parts))
    assert len(calls) == 1
    assert distributed.all_gather is gather
