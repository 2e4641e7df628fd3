"""Waits inside the denoise loop are found with file, line and step: on the simulated GPU, and as CUDA reports them.

There is no GPU here: torch's sync debug mode is replaced, and its warnings are given as its source words them.
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
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, ObservedSync, Subject, SyncRecord
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

CUDA = Subject(pipeline="sdxl", device=Device.CUDA)
SIMULATED = Subject(pipeline="sdxl", device=Device.SIMULATED)
FILE = "tests/unit/probes/test_syncs_probe.py"
TORCHS_WARNING = (
    "called a synchronizing CUDA operation (Triggered internally at /pytorch/c10/cuda/CUDAFunctions.cpp:300.)"
)


def line_of(function: Callable[..., object], source: str) -> int:
    """Return the number of the line of a function that holds this text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if source in line)


class Value:
    """Something on a GPU: reading it makes torch warn, as its debug mode does, while the mode is on."""

    mode = "default"

    def item(self) -> float:
        """Wait for the GPU."""
        if Value.mode == "warn":
            warnings.warn(TORCHS_WARNING, UserWarning, stacklevel=1)
        return 0.0


class Bar(nullcontext["Bar"]):
    """A progress bar that shows nothing."""

    def __enter__(self) -> Self:
        """Be used as it is, as tqdm's."""
        return self

    def update(self, n: int = 1) -> None:
        """Finish steps."""


class Pipeline:
    """A pipeline on a GPU that reads a value before, within and after its loop."""

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
    """Wait twice in step 1, once in step 2."""
    if step == 1:
        Value().item()
    if step:
        Value().item()


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replace torch's switch by one that writes down how it was set, and warns of itself as torch's does."""
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
    """Make one call and return what was seen."""
    with watch_syncs(pipeline, subject) as watch:
        pipeline()
    return watch.record


def test_the_users_own_mode_is_put_back(modes: list[str]) -> None:
    """Somebody who debugs with the mode at "error" finds it there afterwards."""
    Value.mode = "error"
    watched(Pipeline())

    assert modes[-1] == "error"


def test_cuda_waits_are_seen_inside_the_loop_only(modes: list[str]) -> None:
    """The debug mode is on from the first step to the end of the loop, and what waits around it is no concern."""
    record = watched(Pipeline(read_often))

    assert modes == ["warn", "warn", "warn", "warn", "default", "default"]
    assert (record.subject, record.num_steps, record.seen_by) == (CUDA, 3, "the GPU (sync debug mode)")
    assert [sync.step for sync in record.syncs] == [1, 1, 2]


def test_a_cuda_wait_has_the_line_of_the_users_code(modes: list[str]) -> None:
    """Torch's warning carries no stack: the stack of the moment does."""
    sync = watched(Pipeline(lambda step: Value().item() if step == 2 else None)).syncs[0]

    assert modes
    assert sync == ObservedSync(kind="wait", operation="a wait", where=sync.where, step=2)
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
        ("if latents > 1:", "a wait"),
    ],
)
def test_what_waited_is_read_from_the_line(source: str, operation: str) -> None:
    """Torch does not say which operation it was; the source does as well as it can."""
    from pytest_diffopt.probes.syncs import _called  # noqa: PLC0415 - nothing else of the module's inside is tested

    assert _called(source) == operation


def test_a_wait_after_the_last_update_belongs_to_the_last_step(modes: list[str]) -> None:
    """There is no step 3 of 3."""

    class LateReader(Pipeline):
        def __call__(self, steps: int = 3) -> None:
            with self.progress_bar(total=steps) as bar:
                for _ in range(steps):
                    bar.update()
                Value().item()

    assert [sync.step for sync in watched(LateReader()).syncs] == [2]
    assert modes[-1] == "default"


def test_the_mode_is_off_again_after_a_failure(modes: list[str]) -> None:
    """Also when the loop fails in the middle of a step; and the way of warnings is what it was."""
    before = warnings.showwarning, list(warnings.filters)

    def fail(step: int) -> None:
        if step == 1:
            message = "injected"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="injected"):
        watched(Pipeline(fail))

    assert modes[-1] == Value.mode == "default"
    assert (warnings.showwarning, list(warnings.filters)) == before


def test_other_warnings_still_arrive(modes: list[str]) -> None:
    """Only torch's own are counted; a user's warning in the loop reaches the user, and is no wait."""

    def warn(step: int) -> None:
        warnings.warn(f"step {step} is odd", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="step . is odd") as caught:
        record = watched(Pipeline(warn))

    assert modes
    assert [str(warning.message) for warning in caught] == ["step 0 is odd", "step 1 is odd", "step 2 is odd"]
    assert record.syncs == ()


def test_without_a_loop_the_whole_call_is_one_step(modes: list[str]) -> None:
    """A bare callable is watched from its beginning to its end."""
    record = watched(lambda: Value().item())

    assert modes == ["warn", "default", "default"]
    assert (record.num_steps, [sync.step for sync in record.syncs]) == (1, [0])


def test_moving_arguments_to_the_gpu_is_no_part_of_the_call(modes: list[str]) -> None:
    """The debug mode is off while they are moved, and on again for the call."""
    with watch_syncs(lambda: None, CUDA) as watch:
        moved = watch.moved({"steps": 3})

    assert moved == {"steps": 3}
    assert modes == ["warn", "default", "warn", "default", "default"]


def test_a_pipeline_that_never_loops_is_refused(modes: list[str]) -> None:
    """A green verdict about a loop that did not run would be a lie."""
    with pytest.raises(ProbeError) as error, watch_syncs(Pipeline(), CUDA):
        pass

    assert modes == ["default"]
    assert str(error.value).startswith("the denoise loop is found through pipeline.progress_bar(...), which Pipeline")


def test_a_record_is_there_only_after_its_block() -> None:
    """Half a record would look like a whole one."""
    with watch_syncs(nn.Linear(1, 1), SIMULATED) as watch, pytest.raises(ProbeError) as error:
        watch.record  # noqa: B018 - reading it is what is refused

    assert str(error.value) == (
        "a sync record is complete only when its block has ended: read it after the with statement"
    )


def reading_callback(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    """Read a value in step 1, as users do who log their loss of noise."""
    if step == 1:
        tensors["latents"].max().item()
    return tensors


def storages(pipeline: Any) -> dict[str, int]:
    """Return where each parameter's values are."""
    return {
        f"{module}.{name}": parameter.data_ptr()
        for module in ("unet", "vae", "text_encoder", "text_encoder_2")
        for name, parameter in getattr(pipeline, module).named_parameters()
    }


def test_a_injected_read_is_found_on_the_simulated_gpu() -> None:
    """With file, line, source, operation, kind and step; the loop around it never waits."""
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


def test_its_clean_counterpart_never_syncs() -> None:
    """The same call without the injected read."""
    pipeline = tiny_sdxl()
    with watch_syncs(pipeline, SIMULATED) as watch:
        pipeline(**INPUTS)

    assert watch.record.syncs == ()
    assert watch.record.num_steps == 2


def test_the_pipeline_is_back_where_it_was() -> None:
    """On the CPU, with the very parameters that it had, and drawing what it drew."""
    pipeline = tiny_sdxl()
    before, image = storages(pipeline), pipeline(**INPUTS).images
    with watch_syncs(pipeline, SIMULATED):
        pipeline(**INPUTS)

    assert pipeline.device.type == "cpu"
    assert storages(pipeline) == before
    assert (pipeline(**INPUTS).images == image).all()


def test_the_pipeline_is_back_after_a_failure() -> None:
    """Also when a step failed in the middle."""

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
    """Its tensors are moved to the device that watches."""

    def reading(x: torch.Tensor) -> float:
        return x.sum().item()

    with watch_syncs(reading, SIMULATED) as watch:
        reading(**watch.moved({"x": torch.ones(3)}))

    assert [(sync.operation, sync.step) for sync in watch.record.syncs] == [(".item()", 0)]
    assert watch.record.num_steps == 1
