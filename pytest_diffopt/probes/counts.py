"""Counts of a call on the simulated GPU: exact, and equal on every machine."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.denoiser_calls import watch_denoisers
from pytest_diffopt.probes.memory_holders import holders_of
from pytest_diffopt.probes.on_simulated_gpu import DEFAULT_GPU_MODEL, moved, on_simulated_gpu
from pytest_diffopt.records import CountRecord, DenoiserEvidence, ModuleCounts, PhaseCounts, Subject
from pytest_diffopt.records.denoise_phases import AFTER_LOOP, BEFORE_LOOP, WHOLE_CALL, merged_steps
from pytest_diffopt.simulated_gpu import AttentionChoice, Counts, SimulatedGPU
from pytest_diffopt.simulated_gpu.cost.roofline import seconds_of

_OUTSIDE = "outside modules"
_PATH_DEPTH = 2


def try_to_count(
    target: Any, args: Sequence[Any], inputs: Mapping[str, Any], subject: Subject, *, gpu_model: str = DEFAULT_GPU_MODEL
) -> tuple[CountRecord | None, str]:
    """Count a call in addition to another measurement; a failure to count is returned, not raised.

    Returns:
        The counts and an empty string; or None and the reason.
    """
    try:
        record = count_call(target, args, inputs, subject, gpu_model=gpu_model)
    except (DiffoptError, RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        return None, (str(error).splitlines() or [type(error).__name__])[0]
    if not record.is_watched:
        return None, "no operation of the call, or of its denoiser, ran on the simulated GPU"
    return record, ""


def count_call(
    target: Any, args: Sequence[Any], inputs: Mapping[str, Any], subject: Subject, *, gpu_model: str = DEFAULT_GPU_MODEL
) -> CountRecord:
    """Make one call on the simulated GPU, and return its counts.

    Args:
        target: a pipeline, module or callable.
        args: positional arguments of the call.
        inputs: keyword arguments of the call.
        subject: description of the target; its device is `SIMULATED`.
        gpu_model: name of the simulated GPU.

    Raises:
        ProbeError: the pipeline never entered its denoise loop.
    """
    __tracebackhide__ = True
    with on_simulated_gpu(target, gpu_model=gpu_model) as gpu:
        gpu.name_modules(modules_of(target))
        call = repeatable_call(target, moved(tuple(args), gpu.device), moved(dict(inputs), gpu.device))
        loop, denoiser = _make(call, target, gpu)
    return CountRecord(
        subject=subject,
        gpu_model=gpu.gpu_model.name,
        num_steps=loop.num_steps if loop else 0,
        phases=_phases(gpu.phases),
        modules=_modules(gpu.modules),
        attention=dict(sorted(_attention(gpu.attention).items())),
        unmodelled=gpu.unmodelled,
        least_ns=_least_seconds(gpu) * 1e9,
        peak_holders=holders_of(gpu.peak_holders),
        denoiser=denoiser,
    )


def _least_seconds(gpu: SimulatedGPU) -> float:
    """Return the lower bound on the call's time from the GPU's peak rates, without the transfer of the weights."""
    return seconds_of((counts for phase, counts in gpu.phases.items() if phase is not None), gpu.gpu_model)


def _make(call: Any, target: Any, gpu: SimulatedGPU) -> tuple[DenoiseLoop | None, DenoiserEvidence | None]:
    __tracebackhide__ = True
    if not has_denoise_loop(target):
        gpu.enter_phase(WHOLE_CALL)
        call()
        return None, None
    with (
        watch_denoise_loop(target, lambda step: _enter(gpu, step)) as loop,
        watch_denoisers(target, lambda: loop.step, lambda: gpu.operations) as denoisers,
    ):
        gpu.enter_phase(BEFORE_LOOP)
        call()
    loop.require_entered(target)
    return loop, denoisers.evidence(loop.num_steps)


def _enter(gpu: SimulatedGPU, step: int | None) -> None:
    gpu.enter_phase(AFTER_LOOP if step is None else step)


def _phases(counted: Mapping[Hashable, Counts]) -> tuple[PhaseCounts, ...]:
    """Name the phases and merge consecutive equal steps; the transfer of the weights (phase None) is left out."""
    return tuple(_phase(name, counts) for name, counts in merged_steps(counted))


def _phase(name: str, counts: Counts) -> PhaseCounts:
    return PhaseCounts(
        phase=name,
        flops=counts.flops,
        operations=counts.operations,
        bytes_to_device=counts.bytes_to_device,
        bytes_to_host=counts.bytes_to_host,
        allocated_bytes=counts.allocated_bytes,
        peak_memory_bytes=counts.peak_memory_bytes,
    )


def _modules(counted: Mapping[str, Counts]) -> tuple[ModuleCounts, ...]:
    """Sum the counts of each part, submodules included."""
    parts: defaultdict[str, ModuleCounts] = defaultdict(lambda: ModuleCounts(module="", flops=0, operations=0))
    for path, counts in counted.items():
        name = _part_of(path) or _OUTSIDE
        part = parts[name]
        parts[name] = replace(
            part, module=name, flops=part.flops + counts.flops, operations=part.operations + counts.operations
        )
    return tuple(part for _name, part in sorted(parts.items()) if part.flops or part.operations)


def _part_of(path: str) -> str:
    """Cut a module's path to two names (`unet.mid_block`), or three for a list item (`unet.down_blocks.1`)."""
    names = path.split(".")
    is_in_list = len(names) > _PATH_DEPTH and names[_PATH_DEPTH].isdigit()
    return ".".join(names[: _PATH_DEPTH + is_in_list])


def _attention(choices: Sequence[AttentionChoice]) -> Counter[str]:
    kernels: Counter[str] = Counter()
    for choice in choices:
        shape = "x".join(map(str, choice.query_shape))
        mask = " masked" if choice.has_mask else ""
        kernels[f"{choice.kernel.value} {shape} {choice.dtype}{mask}"] += choice.count
    return kernels
