"""Example profiles."""

from typing import Any

from pytest_diffopt.profile.phases import Phase, PipelineProfile
from pytest_diffopt.profile.target import Target
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.simulated_gpu import AttentionChoice, AttentionKernel, Counts, Sync, SyncKind
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model

LINE = CodeLocation(file="diffusers/scheduler.py", line=7, function="step", source="x.item()")
FLASH = AttentionChoice(
    kernel=AttentionKernel.FLASH,
    query_shape=(2, 10, 4096, 64),
    key_shape=(2, 10, 77, 64),
    dtype="bfloat16",
    has_mask=False,
    count=4,
    reason="",
)


def a_sync(phase: object = 0) -> Sync:
    """Return a read in a scheduler's step."""
    return Sync(
        kind=SyncKind.READ,
        operation="aten._local_scalar_dense",
        where=LINE,
        phase=phase,
        module="",
        is_reported=True,
    )


def a_phase(name: str, *, flops: int = 2 * 10**12, syncs: int = 0, peak_bytes: int = 10**9) -> Phase:
    """Return a phase of 100 operations that writes 4.8 GB."""
    counts = Counts(
        flops=flops,
        least_flops={"bfloat16": flops} if flops else {},
        operations=100,
        least_written_bytes=4_800_000_000,
        peak_memory_bytes=peak_bytes,
    )
    return Phase(name=name, counts=counts, syncs=(a_sync(),) * syncs, attention=(FLASH,))


def a_profile(*steps: Phase, **changes: Any) -> PipelineProfile:
    """Return the profile of a call with these steps."""
    fields: dict[str, Any] = {
        "gpu_model": gpu_model("nvidia-h200"),
        "weights_bytes": 5 * 10**9,
        "encode": a_phase("encode", flops=0),
        "steps": steps,
        "decode": a_phase("decode"),
        "peak_memory_bytes": 10**9,
        "peak_holders": ((LINE, 6 * 10**8),),
        "unmodelled": (),
        "placeholders": (),
    }
    return PipelineProfile(**fields | changes)


def a_target() -> Target:
    """Return a target without a pipeline."""
    return Target(
        pipeline=None, inputs={"num_inference_steps": 3, "prompt": "p"}, name="mine", origin="example", recipe="bf16"
    )
