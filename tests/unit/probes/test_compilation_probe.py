"""The compile log sees what Dynamo does while it really does it, and nothing twice."""

from collections.abc import Iterator

import pytest
import torch

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.probes.compilation import CompileLog, watch_recompiles, watch_warmup
from pytest_diffopt.records import Subject

SUBJECT = Subject(pipeline="fake")


def double(x: torch.Tensor) -> torch.Tensor:
    """Be compiled to one graph."""
    return x * 2


def broken(x: torch.Tensor) -> torch.Tensor:
    """Be broken in one line, which is met twice."""
    for _ in range(2):
        torch._dynamo.graph_break()
    return x * 2


@pytest.fixture
def log() -> Iterator[CompileLog]:
    """Open a log, with nothing compiled before it."""
    torch.compiler.reset()
    with CompileLog() as log:
        yield log
    torch.compiler.reset()


def test_what_was_compiled_before_the_mark_is_left_out(log: CompileLog) -> None:
    """A pipeline answers for its own life only."""
    torch.compile(broken, backend="eager")(torch.ones(2))
    record = watch_warmup(log, log.mark(), lambda: torch.compile(double, backend="eager")(torch.ones(2)), SUBJECT)

    (frame,) = record.frames
    assert frame.where.function == "double"
    assert (frame.is_compiled, frame.operations, frame.recompile_reason) == (True, 1, "")
    assert frame.compile_ns > 0
    assert record.breaks == ()


def test_a_reset_of_dynamo_loses_and_repeats_nothing(log: CompileLog) -> None:
    """Dynamo empties its lists then, and what was read before stays read."""
    start = log.mark()
    for _ in range(2):
        torch.compile(double, backend="eager")(torch.ones(2))
        torch.compiler.reset()
    torch.compile(double, backend="eager")(torch.ones(2))

    assert len(log.since(start, SUBJECT).frames) == 3


def test_a_line_that_breaks_often_is_one_break(log: CompileLog) -> None:
    """Each place is named once, by the function that holds it."""
    start = log.mark()
    torch.compile(broken, backend="eager")(torch.ones(2))
    (found,) = log.since(start, SUBJECT).breaks

    assert found.where.function == "broken"
    assert found.where.source == "torch._dynamo.graph_break()"


def test_a_break_that_ends_the_call_is_in_the_record(log: CompileLog) -> None:
    """`fullgraph=True` raises, and the record says so."""
    compiled = torch.compile(broken, backend="eager", fullgraph=True)
    record = watch_warmup(log, log.mark(), lambda: compiled(torch.ones(2)), SUBJECT)

    assert record.ended_by_fullgraph
    assert [found.where.function for found in record.breaks] == ["broken"]


def test_what_the_call_itself_raises_passes(log: CompileLog) -> None:
    """Only torch's own refusal is a break."""

    def call() -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        watch_warmup(log, log.mark(), call, SUBJECT)


def test_recompiles_belong_to_the_call_that_made_them(log: CompileLog) -> None:
    """With the label of its inputs, or its number, and the guard that failed in one line."""
    compiled = torch.compile(double, backend="eager", dynamic=False)
    plain = PipelineInputs({"size": 2})
    record = watch_recompiles(
        log,
        lambda inputs: compiled(torch.ones(inputs["size"])),
        [plain, plain.varied("another size", size=3), {"size": 4}],
        start=log.mark(),
        subject=SUBJECT,
    )

    assert [variation.variation for variation in record.variations] == ["call 1", "another size", "call 3"]
    assert [len(variation.frames) for variation in record.variations] == [0, 1, 1]
    assert record.variations[1].frames[0].recompile_reason == (
        "0/0: tensor 'x' size mismatch at index 0. expected 2, actual 3"
    )
    assert len(record.warmup_frames) == 1
