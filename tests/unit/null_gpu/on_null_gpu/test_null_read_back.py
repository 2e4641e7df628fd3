"""What a copy from the GPU writes when its bytes were not moved: zeros, in memory that is taken when it is used."""

from pathlib import Path

import pytest
import torch

from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.null_gpu.values.resident_memory import resident_bytes

_BYTES = 64 * 2**20


@pytest.fixture
def on_device() -> torch.Tensor:
    """Return a tensor whose copy is not made."""
    return torch.ones(_BYTES, dtype=torch.uint8, device="cuda")


def test_zeros_replace_what_was_there(on_device: torch.Tensor) -> None:
    """From the first byte to the last, and no other: a view need not start with a page."""
    host = torch.ones(_BYTES + 20, dtype=torch.uint8)
    host[9:-11].copy_(on_device)

    assert host[:9].all()
    assert not host[9:-11].any()
    assert host[-11:].all()


def test_memory_that_is_not_used_is_not_taken(on_device: torch.Tensor) -> None:
    """An offloaded model of any size fits."""
    before = resident_bytes()
    kept = [on_device.cpu() for _ in range(8)]
    taken = resident_bytes() - before

    assert taken < _BYTES
    assert not kept[-1].any()


def test_with_values_the_same(on_device: torch.Tensor) -> None:
    """A tensor of this size has none."""
    with computing(Values.SMALL):
        before = resident_bytes()
        kept = [(on_device + number).cpu() for number in range(4)] + [on_device.cpu() for _ in range(4)]
        taken = resident_bytes() - before

    assert taken < _BYTES
    assert not kept[0].any()


def test_shared_memory_stays_shared(on_device: torch.Tensor) -> None:
    """Another process sees the zeros: the pages of a file are written."""
    shared = torch.ones(_BYTES, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call] # torch's own
    same = torch.tensor([], dtype=torch.uint8).set_(shared.untyped_storage())
    shared.copy_(on_device)

    assert shared.is_shared()
    assert not same.any()


def test_pages_of_a_file_do_not_come_back(on_device: torch.Tensor, tmp_path: Path) -> None:
    """A private mapping would show the file again if its pages were given up."""
    file = tmp_path / "ones"
    file.write_bytes(b"\1" * _BYTES)
    mapped = torch.from_file(str(file), shared=False, size=_BYTES, dtype=torch.uint8)
    mapped.copy_(on_device)

    assert not mapped.any()
    assert file.read_bytes() == b"\1" * _BYTES
