"""How often one call of an operation makes the CPU wait on CUDA: the conditions of the rows in `cuda_semantics`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pytest_diffopt._torch_private.simulated_device import DEVICE_TYPE
from pytest_diffopt.simulated_gpu.backend.pinned_memory import is_pinned
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor

# at::isin compares all pairs while `tests < 10 * elements ** 0.145`, else it sorts.
_ISIN_FACTOR, _ISIN_POWER = 10.0, 0.145
# at::mode sorts slices up to this length inside one kernel.
_MODE_FUSED_LENGTH = 2048
# The driver copies less at once into a buffer of its own, and does not wait for the stream.
_STAGED_BYTES = 64 * 1024


@dataclass(slots=True)  # freezing it would triple what it costs, and one is made for each copy
class Call:
    """One operation with its operands.

    Attributes:
        name: full name, `aten.index.Tensor`.
        operands: all of them by name, defaults included.
    """

    name: str
    operands: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return an operand; None where the operation has none of that name."""
        return self.operands.get(name)


Condition = Callable[[Call], int]


def is_on_device(value: Any) -> bool:
    """Tell whether something is a tensor on the simulated GPU."""
    if type(value) is SimulatedTensor:
        return True
    return isinstance(value, torch.Tensor) and value.device.type == DEVICE_TYPE


def is_off_device(value: Any) -> bool:
    """Tell whether something is a tensor in the host's memory, or a model's that was never loaded."""
    return isinstance(value, torch.Tensor) and not is_on_device(value)


def is_mask(value: torch.Tensor) -> bool:
    """Tell whether an index selects by truth instead of by position."""
    return value.dtype in (torch.bool, torch.uint8)


def never(_: Call) -> int:
    """Never wait."""
    return 0


def once(_: Call) -> int:
    """Wait once."""
    return 1


def once_unless_empty(call: Call) -> int:
    """Wait once if there are elements at all."""
    return int(call["self"].numel() > 0)


def once_on_device(*names: str) -> Condition:
    """Wait once if any of these operands is on the device."""
    return lambda call: int(any(is_on_device(call[name]) for name in names))


def once_for_each_on_device(*names: str) -> Condition:
    """Wait once for each of these operands that is on the device."""
    return lambda call: sum(is_on_device(call[name]) for name in names)


def blocking_copy_in(call: Call) -> int:
    """`copy_` to the device that blocks, pinned or not; nothing is copied when there is nothing."""
    is_copy = is_on_device(call["self"]) and is_off_device(call["src"])
    return int(is_copy and not call["non_blocking"] and call["self"].numel() > 0)


def pageable_copy_in(call: Call) -> int:
    """`copy_` to the device that should not block, from memory that the driver must stage."""
    target, source = call["self"], call["src"]
    if not (call["non_blocking"] and is_on_device(target) and is_off_device(source)) or is_pinned(source):
        return 0
    return int(source.numel() * source.dtype.itemsize > _STAGED_BYTES)


def blocking_copy_out(call: Call) -> int:
    """`copy_` to the host that blocks."""
    is_copy = is_off_device(call["self"]) and is_on_device(call["src"])
    return int(is_copy and not call["non_blocking"] and call["self"].numel() > 0)


def pageable_copy_out(call: Call) -> int:
    """`copy_` to pageable host memory that should not block, but returns only when it is done."""
    target = call["self"]
    is_copy = is_off_device(target) and is_on_device(call["src"]) and call["non_blocking"]
    return int(is_copy and not is_pinned(target) and target.numel() > 0)


def blocking_conversion_out(call: Call) -> int:
    """`tensor.to("cpu")`; without blocking torch takes pinned memory for the result, and nothing waits."""
    device = call["device"]
    leaves = device is not None and torch.device(device).type == "cpu" and is_on_device(call["self"])
    return int(leaves and not call["non_blocking"] and call["self"].numel() > 0)


def foreach_copy(call: Call) -> int:
    """`_foreach_copy_`: one wait for each pair over the bus."""
    pairs = zip(call["self"], call["src"], strict=True)
    return 0 if call["non_blocking"] else sum(is_on_device(to) != is_on_device(source) for to, source in pairs)


def equal(call: Call) -> int:
    """`torch.equal`: shapes and aliases are compared on the host."""
    mine, other = call["self"], call["other"]
    return int(mine is not other and mine.shape == other.shape and mine.numel() > 0)


def bincount(call: Call) -> int:
    """`bincount`: the least value is looked at only where it can be negative."""
    if not call["self"].numel():
        return 0
    return 1 if call["self"].dtype == torch.uint8 else 2


def histc_without_range(call: Call) -> int:
    """`histc` looks for the range when it is given none."""
    return 2 if call["min"] == call["max"] else 0


def repeat_interleave(call: Call) -> int:
    """`repeat_interleave(tensor)`: the total, and that none is negative; neither with `output_size`."""
    return 0 if call["output_size"] is not None else 2


def isin(call: Call) -> int:
    """`isin` that sorts makes both sides unique first."""
    elements, tests = call["elements"].numel(), call["test_elements"].numel()
    sorts = tests >= int(_ISIN_FACTOR * elements**_ISIN_POWER)
    return 2 if sorts and not call["assume_unique"] else 0


def mode(call: Call) -> int:
    """`mode` goes through long slices one by one."""
    tensor, dim = call["self"], call["dim"]
    length = tensor.shape[dim] if tensor.dim() else 1
    return tensor.numel() // length if length > _MODE_FUSED_LENGTH else 0


def searchsorted(call: Call) -> int:
    """`searchsorted` looks whether a sorter's positions are in range."""
    return 2 if call["sorter"] is not None and call["sorter"].numel() else 0


def segment_reduce(call: Call) -> int:
    """`segment_reduce` looks whether lengths make sense."""
    return 2 if call["lengths"] is not None and not call["unsafe"] else 0


def _indices(call: Call) -> list[torch.Tensor]:
    return [index for index in call["indices"] if index is not None]


def masks(call: Call) -> int:
    """`x[mask]`: how many elements it selects, for each mask on the device; one on the host is counted there."""
    return sum(is_mask(index) and is_on_device(index) for index in _indices(call))


def positions_on_host(call: Call) -> int:
    """`x[positions]`: each tensor of whole numbers on the host is copied up."""
    if not is_on_device(call["self"]):
        return 0
    return sum(is_off_device(index) and index.dim() > 0 and not is_mask(index) for index in _indices(call))


def _is_masked_fill(call: Call) -> bool:
    """Tell whether `x[mask] = number` becomes a masked fill: `canDispatchToMaskedFill`."""
    indices, value = _indices(call), call["values"]
    is_one_mask = len(indices) == 1 and indices[0].dtype == torch.bool
    return is_one_mask and not call["accumulate"] and value.numel() == 1 and is_off_device(value)


def masks_written_through(call: Call) -> int:
    """`x[mask] = value`, unless it becomes a masked fill."""
    return 0 if _is_masked_fill(call) else masks(call)


def number_written_through(call: Call) -> int:
    """`x[positions] = number`: the number is copied up."""
    return int(is_on_device(call["self"]) and is_off_device(call["values"]) and not _is_masked_fill(call))


def where_on_host(call: Call) -> int:
    """`where` copies up each operand that is a single number in a host tensor."""
    operands = [call[name] for name in ("condition", "self", "other")]
    if not any(is_on_device(one) for one in operands):
        return 0
    return sum(is_off_device(one) and one.dim() == 0 for one in operands)


def host_filled_from_device(call: Call) -> int:
    """`host_tensor.fill_(device_tensor)` reads the value."""
    return int(is_off_device(call["self"]) and is_on_device(call["value"]))


def weighted_smooth_mean(call: Call) -> int:
    """`cross_entropy` with class weights and label smoothing selects what it averages."""
    mean = 1  # at::Reduction::Mean
    return int(call["weight"] is not None and call["label_smoothing"] > 0 and call["reduction"] == mean)
