"""Observe one call of a pipeline for the effects of its optimizations."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from pytest_diffopt.environment import gpu_device
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.call_position import CallPosition, contexts_followed
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.compiled_branches import branches_of_compiled_code
from pytest_diffopt.probes.compiled_calls import CompiledTrace
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.module_calls import ModuleTrace
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.probes.residency import ResidencyTrace
from pytest_diffopt.probes.traced_backends import BackendTrace
from pytest_diffopt.probes.traced_operations import OperationTrace
from pytest_diffopt.probes.traced_scheduler import SchedulerTrace
from pytest_diffopt.probes.traced_vae import VaeTrace
from pytest_diffopt.records import CallEvidence, CompiledCalls, Device

#: The device of the evidence, where the pipeline ran on the simulated GPU.
SIMULATED = "simulated GPU"


def observe_call(
    target: Any, args: Sequence[Any], inputs: Mapping[str, Any], *, on_simulated: bool = False
) -> CallEvidence:
    """Call a pipeline and return what ran.

    If anything is compiled there are two calls: one runs the compiled code and counts its graphs; the other runs the
    eager code, on the branches that the compiled code takes, and counts modules and operations.

    Args:
        target: the pipeline.
        args: positional arguments of the call.
        inputs: keyword arguments of the call.
        on_simulated: make the second call on the simulated GPU, because the effect of an optimization does not exist on
            the CPU.

    Raises:
        ProbeError: the pipeline never entered its denoise loop.
    """
    __tracebackhide__ = True
    compiled = _compiled_calls(target, args, inputs)
    if not on_simulated:
        device = getattr(target, "device", None)
        device_type = device.type if isinstance(device, torch.device) else "cpu"
        with torch.compiler.set_stance("force_eager"), branches_of_compiled_code(target):
            return _observed(target, args, inputs, device_type=device_type, compiled=compiled)
    with on_simulated_gpu(target) as gpu:
        values = moved(tuple(args), gpu.device), moved(dict(inputs), gpu.device)
        return _observed(target, *values, device_type=gpu.device.type, compiled=compiled)


def _compiled_calls(target: Any, args: Sequence[Any], inputs: Mapping[str, Any]) -> tuple[CompiledCalls, ...]:
    __tracebackhide__ = True
    position = CallPosition()
    trace = CompiledTrace(target, position)
    if trace.is_empty:
        return ()
    with trace.watching(), _loop(target, position):
        repeatable_call(target, args, inputs)()
    return trace.calls()


def _observed(
    target: Any,
    args: Sequence[Any],
    inputs: Mapping[str, Any],
    *,
    device_type: str,
    compiled: tuple[CompiledCalls, ...],
) -> CallEvidence:
    __tracebackhide__ = True
    modules, position = modules_of(target), CallPosition()
    resident = ResidencyTrace(modules, device_type, position)
    has_values = device_type == "cpu" or (device_type == "cuda" and gpu_device() is Device.CUDA)
    called = ModuleTrace(modules, position, resident.sample if resident.is_on else _nothing, has_values=has_values)
    operations = OperationTrace(position)
    backends = BackendTrace(position, has_values=has_values)
    scheduler = SchedulerTrace(getattr(target, "scheduler", None))
    vaes = VaeTrace(modules)
    call = repeatable_call(target, args, inputs)
    with ExitStack() as stack:
        for trace in (called, backends, scheduler, vaes):
            stack.enter_context(trace.watching())
        stack.enter_context(contexts_followed(modules, position))
        loop = stack.enter_context(_loop(target, position))
        stack.enter_context(operations)
        call()
    if isinstance(loop, DenoiseLoop):
        loop.require_entered(target)
    return CallEvidence(
        device=device_type if device_type in {"cpu", "cuda"} else SIMULATED,
        num_steps=loop.num_steps if isinstance(loop, DenoiseLoop) else 0,
        operations=operations.operations(),
        modules=called.calls(),
        compiled=compiled,
        scheduler=scheduler.calls(),
        backends=backends.calls(),
        vaes=vaes.calls(),
        residency=resident.residency(),
        most_resident_bytes=resident.most_resident_bytes,
    )


def _loop(target: Any, position: CallPosition) -> Any:
    return watch_denoise_loop(target, position.enter_step) if has_denoise_loop(target) else ExitStack()


def _nothing(_module: torch.nn.Module) -> None:
    """Do nothing when a module starts."""
