"""How many kernels and library calls an operation launches on CUDA, as learned from the null GPU.

`launches.json` holds for each torch release what `python -m benchmarks.learn_launches` counted there: for an operation
either one number, or a number for each value of some features of its operands. An operation that is not in it launches
one kernel if it launches work at all.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pytest_diffopt._torch_private.version_gate import release_of, torch_release

_FILE = Path(__file__).parent / "launches.json"
_OTHER = "other"  # the most frequent number, for values of the features that were not seen
_LARGE_ELEMENTS, _HUGE_ELEMENTS = 2**16, 2**30
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def _tensors(operands: Iterable[Any]) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for one in operands:
        if isinstance(one, torch.Tensor):
            found.append(one)
        elif isinstance(one, list | tuple):
            found += _tensors(one)
    return found


def _dtypes(tensors: Sequence[torch.Tensor]) -> str:
    return ",".join(str(one.dtype).removeprefix("torch.") for one in tensors[:2])


def _layout(tensor: torch.Tensor) -> str:
    if not tensor.numel():
        return "empty"
    channels_last = _CHANNELS_LAST.get(tensor.dim())
    is_image = channels_last is not None and tensor.is_contiguous(memory_format=channels_last)
    if tensor.is_contiguous():
        return "either" if is_image else "contiguous"  # either: the weight of a 1 x 1 convolution, which is not copied
    return "channels_last" if is_image else "strided"


def _layouts(tensors: Sequence[torch.Tensor]) -> str:
    return ",".join(_layout(one) for one in tensors[:3])


def _sizes(tensors: Sequence[torch.Tensor]) -> str:
    return ",".join(f"{one.dim()}{_size(one.numel())}" for one in tensors[:3])


def _size(numel: int) -> str:
    """Return a class of sizes: of a huge tensor, torch's iterator makes parts whose offsets fit into 32 bits."""
    if numel <= _LARGE_ELEMENTS:
        return ""
    return "+" if numel <= _HUGE_ELEMENTS else "++"


#: From coarse to fine: what may determine the number, from the tensors among the operands.
FEATURES: Mapping[str, Callable[[Sequence[torch.Tensor]], str]] = {
    "dtypes": _dtypes,
    "count": lambda tensors: str(len(tensors)),
    "layouts": _layouts,
    "sizes": _sizes,
    "dtypes and layouts": lambda tensors: f"{_dtypes(tensors)};{_layouts(tensors)}",
    "layouts and sizes": lambda tensors: f"{_layouts(tensors)};{_sizes(tensors)}",
    "everything": lambda tensors: f"{_dtypes(tensors)};{_layouts(tensors)};{_sizes(tensors)};{len(tensors)}",
}


def features_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the value of the features with a name for the operands of a call."""
    return FEATURES[name](_tensors((*args, *kwargs.values())))


def launches_of(full_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return how many kernels and library calls a call launches.

    Args:
        full_name: the operation with its overload, such as `aten.add.Tensor`.
        args: its positional operands.
        kwargs: its keyword operands.
    """
    known = _table().get(full_name)
    if known is None:
        return 1
    if isinstance(known, int):
        return known
    numbers: Mapping[str, int] = known["numbers"]
    return numbers.get(features_of(known["by"], args, kwargs), numbers[_OTHER])


@functools.cache
def _table() -> Mapping[str, Any]:
    """Return the numbers of this torch: of its release, else of the nearest earlier one, else of the earliest."""
    return nearest(json.loads(_FILE.read_text(encoding="utf-8")), torch_release())


def nearest(by_release: Mapping[str, Mapping[str, Any]], release: tuple[int, ...]) -> Mapping[str, Any]:
    """Return the numbers of a release, else of the nearest earlier one, else of the earliest."""
    in_order = sorted(by_release, key=release_of)
    earlier = [one for one in in_order if release_of(one) <= release]
    return by_release[(earlier or in_order[:1])[-1]] if in_order else {}


def table_entry(counted: Sequence[tuple[Mapping[str, str], int]]) -> Any:
    """Return the entry of an operation from its counted calls: by the features that are wrong for the fewest of them.

    Args:
        counted: for each call the value of every feature, and the number of launches.
    """
    numbers = [number for _, number in counted]
    if len(set(numbers)) == 1:
        return numbers[0]
    by = min(FEATURES, key=lambda name: _wrong(name, counted))  # of equal ones the coarsest
    most_frequent = _most_frequent(by, counted) | {_OTHER: max(sorted(set(numbers)), key=numbers.count)}
    if len(set(most_frequent.values())) == 1:
        return most_frequent[_OTHER]
    return {"by": by, "numbers": most_frequent}


def _most_frequent(name: str, counted: Sequence[tuple[Mapping[str, str], int]]) -> dict[str, int]:
    """Return for each value of the features the most frequent number."""
    seen: dict[str, list[int]] = {}
    for features, number in counted:
        seen.setdefault(features[name], []).append(number)
    return {value: max(sorted(set(ones)), key=ones.count) for value, ones in sorted(seen.items())}


def _wrong(name: str, counted: Sequence[tuple[Mapping[str, str], int]]) -> int:
    """Return how many of the calls launch another number than their features give."""
    frequent = _most_frequent(name, counted)
    return sum(frequent[features[name]] != number for features, number in counted)
