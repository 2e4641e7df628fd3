"""The phases of a profiled call."""

from pytest_diffopt.profile.phases import merged, profile_call
from pytest_diffopt.simulated_gpu import SyncKind
from tests.examples import own_pipelines
from tests.unit.profile.profile_examples import FLASH, a_phase


def test_each_phase_has_its_own_figures() -> None:
    """A step is one product of 8 x 8; the decoder is one of 8 x 4 and a copy of the image to the host."""
    profile = profile_call(own_pipelines.build(), {"prompt": "p"}, gpu_model="nvidia-h200")

    assert [phase.name for phase in profile.phases] == ["encode", "step 1", "step 2", "step 3", "decode"]
    assert [phase.counts.flops for phase in profile.phases] == [0, 128, 128, 128, 64]
    assert [len(phase.syncs) for phase in profile.phases] == [0, 0, 0, 0, 1]
    assert profile.decode.counts.bytes_to_host == 16
    assert profile.weights_bytes == 4 * (8 * 8 + 8 + 8 * 4 + 4)


def test_work_after_the_last_update_belongs_to_the_last_step() -> None:
    """The loop ends when its progress bar closes, not at its last update."""
    pipeline = own_pipelines.build_reading_after_last_update()
    profile = profile_call(pipeline, {"prompt": "p"}, gpu_model="nvidia-h200")

    assert [len(phase.syncs) for phase in profile.phases] == [0, 0, 0, 1, 1]
    assert profile.steps[-1].syncs[0].kind is SyncKind.READ


def test_profiling_restores_the_weights() -> None:
    """The pipeline has the same weight objects afterwards."""
    pipeline = own_pipelines.build()
    before = pipeline.components["transformer"].weight
    profile_call(pipeline, {"prompt": "p"}, gpu_model="nvidia-t4")

    assert pipeline.components["transformer"].weight is before


def test_merged_phases_are_added() -> None:
    """Work is added, the peak is the maximum, and equal attention calls are counted together."""
    whole = merged("both", [a_phase("a", peak_bytes=1, syncs=1), a_phase("b", peak_bytes=3, syncs=2)])

    assert (whole.counts.flops, whole.counts.operations, whole.counts.peak_memory_bytes) == (4 * 10**12, 200, 3)
    assert len(whole.syncs) == 3
    assert [choice.count for choice in whole.attention] == [2 * FLASH.count]
