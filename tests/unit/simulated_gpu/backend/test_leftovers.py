"""When a simulated GPU's block ends, no cache holds one of its tensors: the next call on any device works."""

import functools
import gc
from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.simulated_gpu import SimulatedGPU
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor

BY_DEVICE: dict[Any, torch.Tensor] = {}
IN_TUPLES: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
LISTED: list[torch.Tensor] = []
SINGLE: torch.Tensor | None = None
OUTPUTS: "dict[str, Output]" = {}


@functools.lru_cache
def table(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cache a pair by device."""
    return torch.arange(4.0, device=device), torch.ones(4, device=device)


@functools.cache
def row(device: torch.device) -> torch.Tensor:
    """Cache a tensor by device."""
    return torch.arange(4.0, device=device)


class Frequencies:
    """A plain object that moves its list to the device of its last use, and caches in the class too."""

    by_device: dict[torch.device, torch.Tensor] = {}  # noqa: RUF012 - the cache under test

    def __init__(self) -> None:
        self.tables: list[torch.Tensor] | None = None
        self.nested = SimpleNamespace(found={})

    def __call__(self, device: torch.device) -> torch.Tensor:
        """Return the table on the device."""
        if self.tables is None:
            self.tables = [torch.arange(4.0), torch.ones(4)]
        if self.tables[0].device != device:
            self.tables = [one.to(device) for one in self.tables]
        self.nested.found["last"] = self.tables[0]
        self.by_device.setdefault(device, self.tables[1])
        return self.tables[0] * self.by_device[device]


class Model(nn.Module):
    """A module that uses a plain object."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.frequencies = Frequencies()
        self.history: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale by the table."""
        self.history.append(x)
        return x * self.scale * self.frequencies(x.device)


def by_device(device: torch.device) -> torch.Tensor:
    """Cache in a dict of this module."""
    return BY_DEVICE.setdefault(device, torch.arange(4.0, device=device))


def in_tuples(device: torch.device) -> torch.Tensor:
    """Cache pairs in a list in a dict of this module."""
    pair = (torch.arange(4.0, device=device), torch.ones(4, device=device))
    return IN_TUPLES.setdefault("pairs", [pair])[0][0].to(device)


def listed(device: torch.device) -> torch.Tensor:
    """Cache in a list of this module."""
    if not LISTED:
        LISTED.append(torch.arange(4.0, device=device))
    return LISTED[0].to(device)


def single(device: torch.device) -> torch.Tensor:
    """Cache in a variable of this module."""
    global SINGLE  # noqa: PLW0603 - the cache under test
    if SINGLE is None:
        SINGLE = torch.arange(4.0, device=device)
    return SINGLE.to(device)


def memoized() -> Callable[[torch.device], torch.Tensor]:
    """Return a function that caches in its closure."""
    kept: dict[torch.device, torch.Tensor] = {}
    last: torch.Tensor | None = None

    def call(device: torch.device) -> torch.Tensor:
        nonlocal last
        last = kept.setdefault(device, torch.arange(4.0, device=device))
        return last

    return call


CACHES = [lambda device: table(device)[0], row, by_device, in_tuples, listed, single, memoized()]
NAMES = ["lru_cache of pairs", "cache", "dict", "tuples in a list", "list", "variable", "closure"]


def alive() -> int:
    """Return the number of simulated tensors that exist, without the garbage of other tests."""
    gc.collect()
    return sum(type(one) is SimulatedTensor for one in gc.get_objects())


@pytest.mark.parametrize("cached", CACHES, ids=NAMES)
def test_a_cache_outside_of_modules_is_emptied(cached: Callable[[torch.device], torch.Tensor]) -> None:
    """A second block and a plain call compute their own entry."""
    before = alive()
    for _ in range(2):
        with SimulatedGPU(real_up_to=10) as gpu:
            value = cached(gpu.device).sum().item()

        assert value == 6
        assert alive() == before
    assert cached(torch.device("cpu")).sum().item() == 6
    assert cached(torch.device("cpu")).device.type == "cpu"


def test_entries_of_other_devices_stay() -> None:
    """Only the simulated GPU's entry of a dict is removed."""
    BY_DEVICE.clear()
    on_host = by_device(torch.device("cpu"))
    with SimulatedGPU() as gpu:
        by_device(gpu.device)

    assert list(BY_DEVICE) == [torch.device("cpu")]
    assert BY_DEVICE[torch.device("cpu")] is on_host


def test_a_plain_object_of_a_module_is_as_before() -> None:
    """Its attributes, their lists and nested objects, and the dict of its class: each block starts from the same."""
    model, before = Model(), alive()
    for _ in range(2):
        with SimulatedGPU(real_up_to=10) as gpu:
            model.to(gpu.device)
            value = model(torch.ones(4, device=gpu.device)).sum().item()

        assert value == 12
        assert model.frequencies.tables is None
        assert model.frequencies.nested.found == {}
        assert model.history == []
        assert Frequencies.by_device == {}
        assert alive() == before
    assert model(torch.ones(4)).sum().item() == 12


def test_a_tensor_without_values_leaves_no_entry() -> None:
    """There is nothing to copy to the host: a variable becomes None again, a dict loses its entry."""
    global SINGLE  # noqa: PLW0603 - the cache under test
    SINGLE = None
    BY_DEVICE.clear()
    with SimulatedGPU(real_up_to=1) as gpu:
        single(gpu.device)
        by_device(gpu.device)

    assert SINGLE is None
    assert BY_DEVICE == {}


class Output(OrderedDict[str, torch.Tensor | None]):
    """An output as those of transformers: its entries are also attributes, and none can be deleted."""

    small: torch.Tensor
    large: torch.Tensor | None

    def __setitem__(self, key: str, value: torch.Tensor | None) -> None:
        super().__setitem__(key, value)
        setattr(self, key, value)

    def __delitem__(self, key: str) -> None:
        msg = "You cannot use ``__delitem__`` on an Output instance."
        raise Exception(msg)  # noqa: TRY002 - as transformers


def test_a_cached_output_that_refuses_deletion_has_its_values_on_the_host() -> None:
    """The block ends without an error, and no simulated tensor is left."""
    before = alive()
    with SimulatedGPU(real_up_to=4) as gpu:
        OUTPUTS["last"] = Output(small=torch.ones(3, device=gpu.device), large=torch.ones(9, device=gpu.device))

    output = OUTPUTS.pop("last")
    assert isinstance(output["small"], torch.Tensor)
    assert output["small"].tolist() == output.small.tolist() == [1.0, 1.0, 1.0]
    assert output["large"] is output.large is None
    assert alive() == before


def test_a_local_variable_keeps_its_tensor() -> None:
    """It is the caller's, who may read its shape after the block."""
    outputs = []
    with SimulatedGPU() as gpu:
        outputs.append(torch.ones(4, device=gpu.device))

    assert outputs[0].shape == (4,)
    assert type(outputs[0]) is SimulatedTensor


def test_frozen_objects_are_frozen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that `gc.freeze()` hides from the collector is found too."""
    hidden = memoized()
    gc.freeze()
    try:
        monkeypatch.setattr(gc, "collect", lambda: 0)  # half a second with torch
        with SimulatedGPU(real_up_to=10) as gpu:
            hidden(gpu.device)

        assert hidden(torch.device("cpu")).sum().item() == 6
        assert not any(type(one) is SimulatedTensor for one in gc.get_objects())
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
