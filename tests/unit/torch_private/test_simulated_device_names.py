"""Torch has the private names that the simulated GPU uses."""

import pytest
import torch
from torch import nn
from torch.nn.attention import flex_attention
from torch.utils import backend_registration

MOVED = "torch {} has no {} any more: fix pytest_diffopt/_torch_private/{}.py"


@pytest.mark.parametrize(
    ("owner", "name", "used_in"),
    [
        (backend_registration, "_setup_privateuseone_for_python_backend", "spare_backend"),
        (torch._C, "_get_privateuse1_backend_name", "spare_backend"),
        (torch._C, "_len_torch_dispatch_stack", "dispatch_state"),
        (torch._C, "_len_torch_function_stack", "dispatch_state"),
        (torch._C, "_ExcludeDispatchKeyGuard", "dispatch_state"),
        (torch._C, "_dispatch_has_kernel_for_dispatch_key", "overloads"),
        (torch.ops.aten.linear.default, "_op", "overloads"),
        (torch.ops.aten.linear.default, "_op_dk", "overloads"),
        (torch.ops.aten.linear.default, "_schema", "overloads"),
        (torch.ops.aten.linear.default, "_overloadname", "overloads"),
        (torch._prims_common, "suggest_memory_format", "shape_rules"),
        (torch._C, "_get_sdp_priority_order", "attention_kernels"),
        (flex_attention, "_validate_device", "higher_order_operators"),
        (torch._C, "_disabled_torch_function_impl", "tensor_wrappers"),
        (torch.Tensor, "_make_wrapper_subclass", "tensor_wrappers"),
        (torch._C, "_storage_Use_Count", "storages"),
        (torch, "_lazy_clone", "storages"),
        (torch.Generator(), "_cdata", "storages"),
        (torch._C._nn, "_parse_to", "module_internals"),
        (nn.Module, "_apply", "module_internals"),
        (nn.Module, "_call_impl", "module_internals"),
        (nn.Module, "_compiled_call_impl", "module_internals"),
    ],
)
def test_every_private_name_is_there(owner: object, name: str, used_in: str) -> None:
    """The message has the missing name and the module that uses it."""
    assert hasattr(owner, name), MOVED.format(torch.__version__, name, used_in)
