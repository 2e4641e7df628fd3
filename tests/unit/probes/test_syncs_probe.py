"""Tests of observing syncs in the denoise loop, on the simulated GPU and with torch's sync debug mode.

No GPU is needed: the debug mode is replaced, and its warnings are issued as defined in torch's source.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Self

import pytest
import torch
from torch import nn

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.syncs import _sync_in, watch_syncs
from pytest_diffopt.records import Device, ObservedSync, Subject, SyncRecord
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

CUDA = Subject(pipeline="sdxl", device=Device.CUDA)
SIMULATED = Subject(pipeline="sdxl", device=Device.SIMULATED)
FILE = "tests/unit/probes/test_syncs_probe.py"
TORCHS_WARNING = (
    "called a synchronizing CUDA operation (Triggered internally at /pytorch/c10/cuda/CUDAFunctions.cpp:300.)"
)


def line_of(function: Callable[..., object], source: str) -> int:
    """Return the number of the function's first line that contains this text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if source in line)


class Value:
    """A value on a GPU: reading it issues torch's warning while the debug mode is enabled."""

    mode = "default"

    def item(self) -> float:
        """Read the value, which synchronizes."""
        if Value.mode == "warn":
            warnings.warn(TORCHS_WARNING, UserWarning, stacklevel=1)
        return 0.0


class Bar(nullcontext["Bar"]):
    """A progress bar that shows nothing."""

    def __enter__(self) -> Self:
        """Return itself, like tqdm."""
        return self

    def update(self, n: int = 1) -> None:
        """Finish steps."""


class Pipeline:
    """A pipeline on a GPU that reads a value before and after its loop."""

    def __init__(self, step: Callable[[int], object] = lambda _step: None) -> None:
        self.step = step

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Any:
        """Open a bar."""
        del iterable, total
        return Bar()

    def __call__(self, steps: int = 3) -> None:
        """Denoise."""
        Value().item()
        with self.progress_bar(total=steps) as bar:
            for number in range(steps):
                self.step(number)
                bar.update()
        Value().item()


def read_often(step: int) -> None:
    """Synchronize twice in step 1, once in step 2."""
    if step == 1:
        Value().item()
    if step:
        Value().item()


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replace torch's function by one that logs each mode, and issues torch's warning about the prototype."""
    done: list[str] = []

    def set_mode(mode: str) -> None:
        warnings.warn("Synchronization debug mode is a prototype feature and does not yet detect all", stacklevel=1)
        Value.mode = mode
        done.append(mode)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", set_mode)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: Value.mode)
    yield done
    Value.mode = "default"


def watched(pipeline: Callable[[], object], subject: Subject = CUDA) -> SyncRecord:
    """Make one call, and return the record."""
    with watch_syncs(pipeline, subject) as watch:
        pipeline()
    return watch.record


def test_the_users_debug_mode_is_restored(modes: list[str]) -> None:
    """For example "error"."""
    Value.mode = "error"
    watched(Pipeline())

    assert modes[-1] == "error"


def test_cuda_syncs_are_recorded_inside_the_loop_only(modes: list[str]) -> None:
    """The debug mode is enabled from the first step to the end of the loop; syncs outside of it do not count."""
    record = watched(Pipeline(read_often))

    assert modes == ["warn", "warn", "warn", "warn", "default", "default"]
    assert (record.subject, record.num_steps, record.seen_by) == (CUDA, 3, "the GPU (sync debug mode)")
    assert [sync.step for sync in record.syncs] == [1, 1, 2]


def test_a_cuda_sync_has_its_line(modes: list[str]) -> None:
    """Torch's warning has no stack; the line is from the stack at that moment."""
    sync = watched(Pipeline(lambda step: Value().item() if step == 2 else None)).syncs[0]

    assert modes
    assert sync == ObservedSync(kind="sync", operation="a sync", where=sync.where, step=2)
    assert (sync.where.file, sync.where.function) == (FILE, "item")
    assert sync.where.line == line_of(Value.item, "warnings.warn")


@pytest.mark.parametrize(
    ("source", "operation"),
    [
        ("x = latents.max().item()", ".item()"),
        ("x = latents.cpu()", ".cpu()"),
        ("x = latents.tolist()", ".tolist()"),
        ("x = mask.nonzero()", ".nonzero()"),
        ("x = latents.to('cpu')", ".to("),
        ("if latents > 1:", "a sync"),
    ],
)
def test_the_operation_is_read_from_the_line(source: str, operation: str) -> None:
    """Torch's warning does not name the operation."""
    assert _sync_in(source) == operation


def test_a_sync_after_the_last_update_belongs_to_the_last_step(modes: list[str]) -> None:
    """Steps are numbered 0 to 2, so that there is no step 3."""

    class LateReader(Pipeline):
        def __call__(self, steps: int = 3) -> None:
            with self.progress_bar(total=steps) as bar:
                for _ in range(steps):
                    bar.update()
                Value().item()

    assert [sync.step for sync in watched(LateReader()).syncs] == [2]
    assert modes[-1] == "default"


def test_the_mode_is_disabled_after_an_error(modes: list[str]) -> None:
    """In the middle of a step; the handling of warnings is restored too."""
    before = warnings.showwarning, list(warnings.filters)

    def fail(step: int) -> None:
        if step == 1:
            message = "injected"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="injected"):
        watched(Pipeline(fail))

    assert modes[-1] == Value.mode == "default"
    assert (warnings.showwarning, list(warnings.filters)) == before


def test_other_warnings_are_passed_on(modes: list[str]) -> None:
    """Only torch's sync warnings are counted; a user's warning in the loop is shown and is not a sync."""

    def warn(step: int) -> None:
        warnings.warn(f"step {step} is odd", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="step . is odd") as caught:
        record = watched(Pipeline(warn))

    assert modes
    assert [str(warning.message) for warning in caught] == ["step 0 is odd", "step 1 is odd", "step 2 is odd"]
    assert record.syncs == ()


def test_without_a_loop_the_whole_call_is_one_step(modes: list[str]) -> None:
    """The target is a bare callable."""
    record = watched(lambda: Value().item())

    assert modes == ["warn", "default", "default"]
    assert (record.num_steps, [sync.step for sync in record.syncs]) == (1, [0])


def test_moving_arguments_to_the_gpu_is_not_watched(modes: list[str]) -> None:
    """The debug mode is disabled during the move, and enabled again for the call."""
    with watch_syncs(lambda: None, CUDA) as watch:
        moved = watch.moved({"steps": 3})

    assert moved == {"steps": 3}
    assert modes == ["warn", "default", "warn", "default", "default"]


def test_a_pipeline_without_a_loop_is_refused(modes: list[str]) -> None:
    """A loop that did not run must not pass."""
    with pytest.raises(ProbeError) as error, watch_syncs(Pipeline(), CUDA):
        pass

    assert modes == ["default"]
    assert str(error.value).startswith("no denoise loop: Pipeline")


def test_a_record_is_available_only_after_its_block() -> None:
    """A partial record must not be mistaken for a complete one."""
    with watch_syncs(nn.Linear(1, 1), SIMULATED) as watch, pytest.raises(ProbeError) as error:
        watch.record  # noqa: B018 - the read itself raises

    assert str(error.value) == (
        "a sync record is available only after its block has ended: read it after the with statement"
    )


def reading_callback(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    """Read a value in step 1, as for logging."""
    if step == 1:
        tensors["latents"].max().item()
    return tensors


def storages(pipeline: Any) -> dict[str, int]:
    """Return the address of each parameter's storage."""
    return {
        f"{module}.{name}": parameter.data_ptr()
        for module in ("unet", "vae", "text_encoder", "text_encoder_2")
        for name, parameter in getattr(pipeline, module).named_parameters()
    }


def test_an_injected_read_is_found_on_the_simulated_gpu() -> None:
    """The record has file, line, source, operation, kind and step, and no other sync."""
    pipeline = tiny_sdxl()
    with watch_syncs(pipeline, SIMULATED) as watch:
        pipeline(**INPUTS.varied("", num_inference_steps=3), callback_on_step_end=reading_callback)
    record = watch.record
    (sync,) = record.syncs

    assert (record.subject, record.num_steps, record.seen_by) == (SIMULATED, 3, "the simulated GPU")
    assert (record.unmodelled, record.placeholders) == ((), ())
    assert (sync.kind, sync.operation, sync.step) == ("read by the host", ".item()", 1)
    assert (sync.where.file, sync.where.function) == (FILE, "reading_callback")
    assert sync.where.line == line_of(reading_callback, ".item()")
    assert sync.where.source == 'tensors["latents"].max().item()'


def test_the_call_without_the_injected_read_has_no_sync() -> None:
    """The injected read is the only sync."""
    pipeline = tiny_sdxl()
    with watch_syncs(pipeline, SIMULATED) as watch:
        pipeline(**INPUTS)

    assert watch.record.syncs == ()
    assert watch.record.num_steps == 2


def test_the_pipeline_is_moved_back() -> None:
    """It is on the CPU, with the same parameter storages, and generates the same image."""
    pipeline = tiny_sdxl()
    before, image = storages(pipeline), pipeline(**INPUTS).images
    with watch_syncs(pipeline, SIMULATED):
        pipeline(**INPUTS)

    assert pipeline.device.type == "cpu"
    assert storages(pipeline) == before
    assert (pipeline(**INPUTS).images == image).all()


def test_the_pipeline_is_moved_back_after_an_error() -> None:
    """A step raises."""

    def fail(*_arguments: object) -> None:
        message = "injected"
        raise RuntimeError(message)

    pipeline = tiny_sdxl()
    before = storages(pipeline)

    with pytest.raises(RuntimeError, match="injected"), watch_syncs(pipeline, SIMULATED):
        pipeline(**INPUTS, callback_on_step_end=fail)

    assert pipeline.device.type == "cpu"
    assert storages(pipeline) == before
    assert "progress_bar" not in vars(pipeline)


def test_a_bare_function_is_watched_as_one_step() -> None:
    """Its tensors are moved to the simulated GPU."""

    def reading(x: torch.Tensor) -> float:
        return x.sum().item()

    with watch_syncs(reading, SIMULATED) as watch:
        reading(**watch.moved({"x": torch.ones(3)}))

    assert [(sync.operation, sync.step) for sync in watch.record.syncs] == [(".item()", 0)]
    assert watch.record.num_steps == 1
