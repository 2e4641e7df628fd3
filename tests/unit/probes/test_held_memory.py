"""The memory that others hold, with the CPU in place of a GPU."""

import gc

import torch

from pytest_diffopt.probes.held_memory import OtherTensors
from tests.unit.tiny_pipelines import tiny_sdxl

CPU = torch.device("cpu")
MIB = 2**20


def others_after(used: tuple[object, ...]) -> tuple[OtherTensors, int]:
    """Return what others hold before a call, and the bytes of it."""
    gc.collect()
    others = OtherTensors(used, CPU)
    return others, others.bytes_now()


def test_tensors_of_others_count() -> None:
    """Each storage once, rounded as the caching allocator rounds."""
    own = torch.nn.Linear(256, 1024, bias=False)
    _, before = others_after((own,))
    held = torch.empty(MIB + 1, dtype=torch.uint8)
    view = held[1:]
    _, after = others_after((own,))

    assert after - before == MIB + 512
    assert view.untyped_storage().data_ptr() == held.data_ptr()


def test_what_a_call_uses_does_not_count() -> None:
    """A module's parameters, what it keeps, a pipeline's parts, and arguments."""
    pipeline, argument = tiny_sdxl(), torch.empty(MIB)
    pipeline.unet.cache = torch.empty(MIB)
    pipeline.kept = [torch.empty(MIB)]
    _, with_all = others_after((pipeline, {"latents": argument}))
    _, without = others_after((torch.nn.Linear(1, 1),))

    parameters = sum(one.nbytes for part in (pipeline.unet, pipeline.vae) for one in part.parameters())
    assert without - with_all >= 3 * 4 * MIB + parameters


def test_what_a_call_leaves_behind_does_not_count() -> None:
    """It was not there before, and it is the call's."""
    others, before = others_after((torch.nn.Linear(1, 1),))
    left = torch.empty(MIB)

    assert others.bytes_now() <= before
    assert left.nbytes == 4 * MIB


def test_what_died_meanwhile_does_not_count() -> None:
    """Only what is still there takes memory from the call's figure."""
    held = torch.empty(MIB)
    others, before = others_after((torch.nn.Linear(1, 1),))
    del held

    assert before - others.bytes_now() >= 4 * MIB


def test_without_a_target_nothing_counts() -> None:
    """A bare function may use anything."""
    held = torch.empty(MIB)

    assert OtherTensors((), CPU).bytes_now() == 0
    assert held.nbytes == 4 * MIB
