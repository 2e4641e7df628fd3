"""Tests of exact counts by phase and by module."""

from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.counts import count_call, try_to_count
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import CountRecord, Device, ModuleCounts, PhaseCounts, Subject
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

SUBJECT = Subject(pipeline="sdxl", device=Device.SIMULATED)


def count(pipeline: Any, *, steps: int = 4) -> CountRecord:
    """Count the plain call."""
    return count_call(pipeline, (), INPUTS.varied("", num_inference_steps=steps), SUBJECT)


@pytest.fixture(scope="module")
def record() -> CountRecord:
    """Count four steps of a tiny SDXL."""
    return count(tiny_sdxl())


def test_equal_later_steps_are_merged(record: CountRecord) -> None:
    """The first step is always separate: it may prepare data for the others."""
    assert [phase.phase for phase in record.phases] == ["before the loop", "step 0", "steps 1-3", "after the loop"]
    assert (record.subject, record.num_steps, record.gpu_model, record.unmodelled) == (SUBJECT, 4, "nvidia-h200", ())


def test_two_calls_and_two_builds_count_the_same(record: CountRecord) -> None:
    """Counts are compared without tolerance, so they must be reproducible."""
    pipeline = tiny_sdxl()

    assert [count(pipeline), count(pipeline)] == [record, record]


def test_counts_of_a_step_do_not_depend_on_the_number_of_steps(record: CountRecord) -> None:
    """Four and six steps have equal counts per step."""
    longer = count(tiny_sdxl(), steps=6)

    assert [phase.phase for phase in longer.phases] == ["before the loop", "step 0", "steps 1-5", "after the loop"]
    assert longer.phases[1] == record.phases[1]
    assert (longer.phases[2].flops, longer.phases[2].operations) == (
        record.phases[2].flops,
        record.phases[2].operations,
    )


def test_a_single_later_step_is_named_step() -> None:
    """The phase is `step 1`, not `steps 1-1`."""
    assert [phase.phase for phase in count(tiny_sdxl(), steps=2).phases] == [
        "before the loop",
        "step 0",
        "step 1",
        "after the loop",
    ]


def test_a_step_with_other_counts_is_separate() -> None:
    """An operation added to one step appears in that step; equal steps after it are merged again."""

    def callback(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 2:
            tensors["latents"].abs()
        return tensors

    inputs = INPUTS.varied("", num_inference_steps=5, callback_on_step_end=callback)
    phases = count_call(tiny_sdxl(), (), inputs, SUBJECT).phases

    assert [phase.phase for phase in phases] == [
        "before the loop",
        "step 0",
        "step 1",
        "step 2",
        "steps 3-4",
        "after the loop",
    ]
    assert phases[3].operations == phases[2].operations + 1


def test_nothing_crosses_the_bus_within_the_loop(record: CountRecord) -> None:
    """The prompt is copied to the GPU before the loop, the image to the host after it."""
    before, first, later, after = record.phases

    assert (first.bytes_to_device, first.bytes_to_host, later.bytes_to_device, later.bytes_to_host) == (0, 0, 0, 0)
    assert before.bytes_to_device > 0
    assert after.bytes_to_host == 64 * 64 * 3 * 4


def test_modules_are_cut_to_two_levels(record: CountRecord) -> None:
    """Three levels for list items; the parts add up to the whole call."""
    parts = {module.module: module for module in record.modules}
    whole = sum(phase.flops * (3 if phase.phase == "steps 1-3" else 1) for phase in record.phases)

    assert {
        "unet.mid_block",
        "unet.down_blocks.0",
        "unet.up_blocks.2",
        "vae.decoder",
        "outside modules",
    } <= parts.keys()
    assert list(parts) == sorted(parts)
    assert max(name.count(".") for name in parts) == 2
    assert sum(module.flops for module in record.modules) == whole


def test_attention_kernels_are_counted(record: CountRecord) -> None:
    """By kernel, shape and dtype; the flash kernel does not support float32."""
    assert record.attention == {
        "efficient 1x1x256x32 float32": 1,
        "efficient 1x6x32x8 float32": 4,
        "efficient 2x4x64x8 float32": 24,
        "efficient 2x5x16x8 float32": 64,
    }


def test_another_precision_changes_the_kernel_and_the_memory(record: CountRecord) -> None:
    """The same work in bfloat16 uses cuDNN's kernel, and less memory."""
    half = count(parse_recipe("bf16").apply(tiny_sdxl()))

    assert half.attention["cudnn 2x5x16x8 bfloat16"] == 64
    assert half.phases[2].flops == record.phases[2].flops
    assert half.phases[2].peak_memory_bytes < record.phases[2].peak_memory_bytes


def test_a_bare_module_is_one_phase() -> None:
    """A product of 2 x 4 and 4 x 8 is 64 multiply-adds, 128 FLOPs, in one operation."""
    record = count_call(nn.Linear(4, 8), (torch.ones(2, 4),), {}, SUBJECT)

    assert record.phases == (
        PhaseCounts(
            phase="the call",
            flops=128,
            operations=1,
            bytes_to_device=0,
            bytes_to_host=0,
            allocated_bytes=512,
            peak_memory_bytes=4 * 512,
        ),
    )
    assert record.modules == (ModuleCounts(module="Linear", flops=128, operations=1),)
    assert (record.num_steps, record.attention) == (0, {})


def test_the_pipeline_is_back_on_the_cpu() -> None:
    """Its parameters have the same storage as before."""
    pipeline = tiny_sdxl()
    before = [parameter.data_ptr() for parameter in pipeline.unet.parameters()]
    count(pipeline, steps=2)

    assert pipeline.device.type == "cpu"
    assert [parameter.data_ptr() for parameter in pipeline.unet.parameters()] == before


def test_a_pipeline_without_a_loop_is_refused() -> None:
    """Its counts would have no denoise steps."""

    class Idle:
        """A pipeline whose call does nothing."""

        def progress_bar(self) -> None:
            """Open a bar."""

        def __call__(self) -> None:
            """Do nothing."""

    with pytest.raises(ProbeError) as error:
        count_call(Idle(), (), {}, SUBJECT)

    assert str(error.value).startswith("no denoise loop: Idle")


def test_the_lower_bound_is_from_the_gpus_peak_rates() -> None:
    """A product of 10^9 operations is bound by compute or by the bytes written; a slower GPU takes longer."""
    layer = nn.Linear(1000, 1000, bias=False)
    hidden = torch.zeros(500, 1000)

    on_h200, on_t4 = (
        count_call(layer, (hidden,), {}, SUBJECT, gpu_model=gpu_model) for gpu_model in ("nvidia-h200", "nvidia-t4")
    )

    flops, written_bytes = 2 * 500 * 1000 * 1000, on_h200.phases[0].allocated_bytes
    assert on_h200.least_ns == pytest.approx(max(flops / 494.7e12, written_bytes / 4800e9) * 1e9)
    assert on_t4.gpu_model == "nvidia-t4"
    assert on_t4.least_ns > on_h200.least_ns


def test_a_failure_to_count_returns_the_reason() -> None:
    """It must not discard the time that was measured in addition."""
    hidden = torch.zeros(1, 2)

    nowhere, why_not = try_to_count(nn.Linear(2, 2), (hidden,), {}, SUBJECT, gpu_model="nvidia-h2000")
    found, nothing = try_to_count(nn.Linear(2, 2), (hidden,), {}, SUBJECT)

    assert nowhere is None
    assert why_not.endswith("got: 'nvidia-h2000'")
    assert found is not None
    assert nothing == ""
