"""Offload hooks of accelerate and diffusers, aimed at the simulated GPU while a call is watched.

A hook moves its module to a device of its own in every call, so the simulated GPU would watch nothing. While the block
runs, the hooks move their modules to the simulated GPU instead; afterwards they are as before.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.attribute_snapshot import AttributeSnapshot

_MODEL_OFFLOAD = "accelerate.hooks.CpuOffload"
_ALIGN_DEVICES = "accelerate.hooks.AlignDevicesHook"
_GROUP_OFFLOAD = "diffusers.hooks.group_offloading.GroupOffloadingHook"
# What the hooks and their libraries change in a module and in a pipeline.
_MODULE_ATTRIBUTES = ("forward", "_hf_hook", "_old_forward", "_diffusers_hook")
_PIPELINE_ATTRIBUTES = ("_all_hooks", "_offload_device", "_offload_gpu_id")


@contextmanager
def on_device(target: Any, device: torch.device, *, new_stream: Callable[[], Any]) -> Iterator[None]:
    """Move a pipeline or module to the simulated GPU; an offloaded part stays on the host, and its hooks move it.

    Args:
        target: the pipeline or module.
        device: the simulated GPU.
        new_stream: returns a stream of the simulated GPU, which replaces a stream of the hooks.

    Raises:
        ProbeError: a module has a hook that moves it, and that cannot be aimed at another device.
    """
    modules = modules_of(target)
    offloaded = {name: module for name, module in modules.items() if any(map(_moves, _all_hooks(module)))}
    _require_known_hooks(offloaded)
    if modules and not offloaded:
        target.to(device)
    for name, module in modules.items():
        if offloaded and name not in offloaded:
            module.to(device)
    snapshot = AttributeSnapshot()
    try:
        _keep(target, offloaded, snapshot)
        _aim(target, offloaded, device, new_stream)
        yield
    finally:
        snapshot.restore()


def _require_known_hooks(modules: Mapping[str, nn.Module]) -> None:
    unknown = [f"{name} ({hook})" for name, module in modules.items() for hook in _unknown_hooks(module)[:1]]
    if unknown:
        msg = (
            "these hooks move their modules in every call and cannot be aimed at the simulated GPU: "
            f"{', '.join(unknown)}; build the pipeline without them for this test"
        )
        raise ProbeError(msg)


def _unknown_hooks(module: nn.Module) -> list[str]:
    names = []
    for hook in filter(_moves, _all_hooks(module)):
        if _class_name(hook) not in {_MODEL_OFFLOAD, _ALIGN_DEVICES, _GROUP_OFFLOAD}:
            names.append(_class_name(hook))
        elif getattr(getattr(hook, "group", None), "offload_to_disk_path", None) is not None:
            names.append("diffusers group offloading to a disk")
    return names


def _moves(hook: Any) -> bool:
    """Return whether a hook moves its module or its arguments: it has a device."""
    devices = (getattr(hook, name, None) for name in ("execution_device", "onload_device"))
    has_device = any(device is not None for device in devices)
    return has_device or _class_name(hook) == _GROUP_OFFLOAD or _holds_a_device(hook)


def _holds_a_device(hook: Any) -> bool:
    # An `AlignDevicesHook` without a device of its own records that of its arguments.
    known = _class_name(hook) == _ALIGN_DEVICES
    return not known and any(isinstance(value, torch.device) for value in vars(hook).values())


def _class_name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _all_hooks(module: nn.Module) -> Iterator[Any]:
    for part in module.modules():
        yield from _accelerate_hooks(vars(part).get("_hf_hook"))
        yield from getattr(vars(part).get("_diffusers_hook"), "hooks", {}).values()


def _accelerate_hooks(hook: Any) -> Iterator[Any]:
    """Yield a hook, or the hooks of which a `SequentialHook` consists."""
    if hook is not None and hasattr(hook, "hooks"):
        for one in hook.hooks:
            yield from _accelerate_hooks(one)
    elif hook is not None:
        yield hook


def _keep(target: Any, offloaded: Mapping[str, nn.Module], snapshot: AttributeSnapshot) -> None:
    """Record everything that aiming the hooks, or a call with them, changes."""
    if not offloaded:
        return
    snapshot.keep(target, _PIPELINE_ATTRIBUTES)
    for module in offloaded.values():
        for part in module.modules():
            snapshot.keep(part, _MODULE_ATTRIBUTES)
            registry = vars(part).get("_diffusers_hook")
            if registry is not None:
                snapshot.keep(registry)
                for function in getattr(registry, "_fn_refs", ()):
                    snapshot.keep(function)
        for hook in _all_hooks(module):
            snapshot.keep(hook)
            for name in ("group", "next_group", "config"):
                if getattr(hook, name, None) is not None:
                    snapshot.keep(getattr(hook, name))


def _aim(target: Any, offloaded: Mapping[str, nn.Module], device: torch.device, new_stream: Callable[[], Any]) -> None:
    if offloaded and "_offload_device" in vars(target):
        # After each call a pipeline makes its hooks again, for this device.
        target._offload_device, target._offload_gpu_id = device, device.index  # noqa: SLF001 - has no public equivalent
    streams = _Streams(new_stream)
    for module in offloaded.values():
        hooks = list(_all_hooks(module))
        for hook in hooks:
            if _class_name(hook) == _GROUP_OFFLOAD:
                _aim_group(hook, device, streams)
            elif getattr(hook, "execution_device", None) is not None:
                hook.execution_device = device
        if any(_class_name(hook) == _ALIGN_DEVICES for hook in hooks):
            _move_what_stays(module, device)


class _Streams:
    """One stream of the simulated GPU for each stream of the hooks."""

    def __init__(self, new_stream: Callable[[], Any]) -> None:
        self._new_stream = new_stream
        self._made: dict[int, tuple[Any, Any]] = {}

    def replace_in(self, thing: Any) -> None:
        """Replace the `stream` of a group or of its configuration, unless it is replaced already."""
        stream = thing.stream
        if stream is None or any(stream is made for _, made in self._made.values()):
            return
        if id(stream) not in self._made:
            self._made[id(stream)] = (stream, self._new_stream())
        thing.stream = self._made[id(stream)][1]


def _aim_group(hook: Any, device: torch.device, streams: _Streams) -> None:
    group, config = hook.group, hook.config
    group.onload_device = config.onload_device = device
    streams.replace_in(group)
    streams.replace_in(config)
    group._torch_accelerator_module = type(group._torch_accelerator_module)(device)  # noqa: SLF001 - the only way


def _move_what_stays(module: nn.Module, device: torch.device) -> None:
    """Move the tensors that the hooks keep on the device between calls; those that they move are on `meta`."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if not parameter.is_meta:
                setattr(part, name, nn.Parameter(parameter.detach().to(device), requires_grad=parameter.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            if not buffer.is_meta:
                setattr(part, name, buffer.to(device))
