"""Conditions of the rows in `sync_table`: each returns the number of syncs that one call makes on CUDA."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE
from pytest_diffopt._torch_private.version_gate import torch_release
from pytest_diffopt.simulated_gpu.backend.pinned_memory import is_pinned
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor

# at::isin compares all pairs while `tests < 10 * elements ** 0.145`, else it sorts.
_ISIN_FACTOR, _ISIN_POWER = 10.0, 0.145
_WITHOUT_READ_OF_ISIN = (2, 15)  # the release of torch that reads no position
# at::mode sorts slices up to this length inside one kernel.
_MODE_FUSED_LENGTH = 2048
# Seen on the null GPU; a few lengths (2049) take two more.
_MODE_INSIDE_THRUST, _MODE_INSIDE_THRUST_BOOL = 11, 4
# The driver stages up to this size in its own buffer, without synchronizing with the stream.
_STAGED_BYTES = 64 * 1024


@dataclass(slots=True)  # not frozen: that would triple its cost, and there is one for each copy
class Call:
    """One call of an operation.

    Attributes:
        name: the full name, such as `aten.index.Tensor`.
        operands: all operands by name, including defaults.
    """

    name: str
    operands: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return an operand; None if the operation has none of that name."""
        return self.operands.get(name)


Condition = Callable[[Call], int]


def is_on_device(value: Any) -> bool:
    """Return whether a value is a tensor on the simulated GPU."""
    if type(value) is SimulatedTensor:
        return True
    return isinstance(value, torch.Tensor) and value.device.type == DEVICE_TYPE


def is_off_device(value: Any) -> bool:
    """Return whether a value is a tensor on the host or the meta device."""
    return isinstance(value, torch.Tensor) and not is_on_device(value)


def is_mask(value: torch.Tensor) -> bool:
    """Return whether an index is a mask, not positions."""
    return value.dtype in (torch.bool, torch.uint8)


def once(_: Call) -> int:
    """One sync."""
    return 1


def three_times(_: Call) -> int:
    """Three syncs."""
    return 3


def once_unless_empty(call: Call) -> int:
    """One sync, unless the tensor is empty."""
    return int(call["self"].numel() > 0)


def once_on_device(*names: str) -> Condition:
    """One sync if any of these operands is on the device."""
    return lambda call: int(any(is_on_device(call[name]) for name in names))


def once_for_each_on_device(*names: str) -> Condition:
    """One sync for each of these operands that is on the device."""
    return lambda call: sum(is_on_device(call[name]) for name in names)


def blocking_copy_in(call: Call) -> int:
    """Blocking `copy_` to the device, from pinned or pageable memory; none if the tensor is empty."""
    is_copy = is_on_device(call["self"]) and is_off_device(call["src"])
    return int(is_copy and not call["non_blocking"] and call["self"].numel() > 0)


def pageable_copy_in(call: Call) -> int:
    """Non-blocking `copy_` to the device from pageable memory, if it is too large to be staged."""
    target, source = call["self"], call["src"]
    if not (call["non_blocking"] and is_on_device(target) and is_off_device(source)) or is_pinned(source):
        return 0
    return int(source.numel() * source.dtype.itemsize > _STAGED_BYTES)


def blocking_copy_out(call: Call) -> int:
    """Blocking `copy_` to the host."""
    is_copy = is_off_device(call["self"]) and is_on_device(call["src"])
    return int(is_copy and not call["non_blocking"] and call["self"].numel() > 0)


def pageable_copy_out(call: Call) -> int:
    """`copy_` to pageable host memory with `non_blocking=True`, which blocks nevertheless."""
    target = call["self"]
    is_copy = is_off_device(target) and is_on_device(call["src"]) and call["non_blocking"]
    return int(is_copy and not is_pinned(target) and target.numel() > 0)


def blocking_conversion_out(call: Call) -> int:
    """Blocking `tensor.to("cpu")`; with `non_blocking=True` the result is in pinned memory and nothing blocks."""
    device = call["device"]
    leaves = device is not None and torch.device(device).type == "cpu" and is_on_device(call["self"])
    return int(leaves and not call["non_blocking"] and call["self"].numel() > 0)


def foreach_copy(call: Call) -> int:
    """`_foreach_copy_`: one sync for each pair over the bus."""
    pairs = zip(call["self"], call["src"], strict=True)
    return 0 if call["non_blocking"] else sum(is_on_device(to) != is_on_device(source) for to, source in pairs)


def equal(call: Call) -> int:
    """`torch.equal`: one sync, unless the host already decides: other shapes, the same tensor, or no elements."""
    mine, other = call["self"], call["other"]
    return int(mine is not other and mine.shape == other.shape and mine.numel() > 0)


def bincount(call: Call) -> int:
    """`bincount`: reads the maximum, and the minimum where values can be negative."""
    if not call["self"].numel():
        return 0
    return 1 if call["self"].dtype == torch.uint8 else 2


def histc_without_range(call: Call) -> int:
    """`histc` without a range: reads the minimum and the maximum."""
    return 2 if call["min"] == call["max"] else 0


def repeat_interleave(call: Call) -> int:
    """`repeat_interleave(tensor)` without `output_size`: reads the total and checks that no count is negative."""
    return 0 if call["output_size"] is not None else 2


def isin(call: Call) -> int:
    """`isin`, where it sorts: makes both sides unique, unless the call states that they are; reads one position."""
    elements, tests = call["elements"].numel(), call["test_elements"].numel()
    if tests < int(_ISIN_FACTOR * elements**_ISIN_POWER):
        return 0
    sorting = 1 if torch_release() < _WITHOUT_READ_OF_ISIN else 0
    return sorting if call["assume_unique"] else sorting + 2


def _long_slices(call: Call) -> int:
    """Return how many slices are too long for the one kernel; 0 if they are short."""
    tensor, dim = call["self"], call["dim"]
    length = tensor.shape[dim] if tensor.dim() else 1
    return tensor.numel() // length if length > _MODE_FUSED_LENGTH else 0


def mode(call: Call) -> int:
    """`mode` of long slices, which synchronizes inside Thrust: for each slice of a bool tensor, else once for all."""
    slices = _long_slices(call)
    if call["self"].dtype == torch.bool:
        return _MODE_INSIDE_THRUST_BOOL * slices
    return _MODE_INSIDE_THRUST if slices else 0


def mode_of_bool(call: Call) -> int:
    """`mode` of long slices of a bool tensor: reads a count for each."""
    return _long_slices(call) if call["self"].dtype == torch.bool else 0


def unique_flattened(call: Call) -> int:
    """`unique_consecutive` without a dimension."""
    return once_unless_empty(call) if call["dim"] is None else 0


def _inside_unique(call: Call, plain: int) -> int:
    return plain + 3 * bool(call["return_inverse"]) + bool(call["return_counts"])


def unique_dim(call: Call) -> int:
    """`unique(dim=...)`: synchronizes inside Thrust, more often if it returns positions or counts."""
    return _inside_unique(call, 3)


def unique_consecutive_dim(call: Call) -> int:
    """`unique_consecutive(dim=...)`: the same, without sorting."""
    return _inside_unique(call, 2) if call["dim"] is not None else 0


def errors_checked(call: Call) -> int:
    """A decomposition that was asked to check for errors."""
    return int(bool(call["check_errors"]))


def eigenvalues(call: Call) -> int:
    """`eigvals` checks for errors; of a real matrix it also reads whether the imaginary parts are zero."""
    return 1 + (not call["self"].is_complex())


def eigenvectors(call: Call) -> int:
    """`eig` makes one more than `eigvals`."""
    return 1 + eigenvalues(call)


def matrix_exp(call: Call) -> int:
    """`matrix_exp` of more than a number: compares the norm with a table, and reads the exponent."""
    return 2 if call["self"].shape[-1] > 1 else 0


def searchsorted(call: Call) -> int:
    """`searchsorted` with a sorter: checks that its positions are in range."""
    return 2 if call["sorter"] is not None and call["sorter"].numel() else 0


def segment_reduce(call: Call) -> int:
    """`segment_reduce` with lengths: validates them."""
    return 2 if call["lengths"] is not None and not call["unsafe"] else 0


def _indices(call: Call) -> list[torch.Tensor]:
    return [index for index in call["indices"] if index is not None]


def masks(call: Call) -> int:
    """`x[mask]`: the number of selected elements, for each mask on the device."""
    return sum(is_mask(index) and is_on_device(index) for index in _indices(call))


def positions_on_host(call: Call) -> int:
    """`x[positions]`: one copy to the device for each integer tensor on the host."""
    if not is_on_device(call["self"]):
        return 0
    return sum(is_off_device(index) and index.dim() > 0 and not is_mask(index) for index in _indices(call))


def _is_masked_fill(call: Call) -> bool:
    """Return whether `x[mask] = number` becomes a masked fill: `canDispatchToMaskedFill`; the mask is where `x` is."""
    indices, value = _indices(call), call["values"]
    is_one_mask = len(indices) == 1 and indices[0].dtype == torch.bool and is_on_device(indices[0])
    return is_one_mask and not call["accumulate"] and value.numel() == 1 and is_off_device(value)


def masks_written_through(call: Call) -> int:
    """`x[mask] = value`, unless it becomes a masked fill."""
    return 0 if _is_masked_fill(call) else masks(call)


def number_written_through(call: Call) -> int:
    """`x[positions] = number`: copies the number to the device."""
    return int(is_on_device(call["self"]) and is_off_device(call["values"]) and not _is_masked_fill(call))


def where_on_host(call: Call) -> int:
    """`where`: one copy to the device for each 0-dimensional host tensor."""
    operands = [call[name] for name in ("condition", "self", "other")]
    if not any(is_on_device(one) for one in operands):
        return 0
    return sum(is_off_device(one) and one.dim() == 0 for one in operands)


def host_filled_from_device(call: Call) -> int:
    """`host_tensor.fill_(device_tensor)`: reads the value."""
    return int(is_off_device(call["self"]) and is_on_device(call["value"]))


def weighted_smooth_mean(call: Call) -> int:
    """`cross_entropy` with class weights, label smoothing and a mean: runs `masked_select`."""
    mean = 1  # at::Reduction::Mean
    return int(call["weight"] is not None and call["label_smoothing"] > 0 and call["reduction"] == mean)
