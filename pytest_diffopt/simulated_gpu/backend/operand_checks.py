"""Checks of an operation's operands: errors that CUDA raises too, and errors of the simulation."""

from collections.abc import Container, Iterable

import torch

from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE
from pytest_diffopt._torch_private.storages import generator_address
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor
from pytest_diffopt.simulated_gpu.cost.accounting import CostLedger


def check_tensors(op: Operation, tensors: Iterable[torch.Tensor], ledger: CostLedger) -> bool:
    """Check the tensor operands of an operation, and return whether all their values are known.

    Raises:
        SimulationError: a tensor belongs to a simulated GPU whose block has ended.
        RuntimeError: a tensor is on another device.
    """
    has_data = True
    for tensor in tensors:
        if type(tensor) is SimulatedTensor:
            if tensor.allocation.ledger is not ledger:
                message = f"{op.full_name} was called on a tensor of a simulated GPU whose block has ended"
                raise SimulationError(message)
            if not tensor.allocation.has_data:
                has_data = False
        else:
            if tensor.dim() and not op.takes_host_tensors:
                _refuse_host_tensor(op, tensor)
            if tensor.is_meta:
                has_data = False
    return has_data


def _refuse_host_tensor(op: Operation, tensor: torch.Tensor) -> None:
    message = (
        f"Expected all tensors to be on the same device, but found at least two devices, {DEVICE_TYPE}:0 and "
        f"{tensor.device}! (when running {op.full_name})"
    )
    raise RuntimeError(message)


def check_generator(generator: torch.Generator | None, addresses: Container[int]) -> None:
    """Check that a generator, where one is given, is one of the device's.

    Args:
        generator: the `generator` operand of an operation.
        addresses: the addresses of the device's generators.

    Raises:
        RuntimeError: it is a generator of another device.
    """
    if generator is not None and generator_address(generator) not in addresses:
        device = generator.device.type
        message = f"Expected a '{DEVICE_TYPE}' device type for generator but found '{device}'"
        raise RuntimeError(message)
