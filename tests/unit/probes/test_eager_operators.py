"""Tests of counting operators that run eagerly between graphs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.probes.eager_operators import count_eager_operators, with_eager_operators
from pytest_diffopt.records import BreakKind, CompilationRecord, GraphBreak, Subject
from pytest_diffopt.records.code_location import UNKNOWN_LOCATION

X = torch.ones(2, 2)
BREAK = GraphBreak(where=UNKNOWN_LOCATION, reason="print")


class Whole(nn.Module):
    """A model that is one graph."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute."""
        result: torch.Tensor = self.linear(self.between(self.linear(x) * 2))
        return result

    def between(self, x: torch.Tensor) -> torch.Tensor:
        """Compute between the two layers."""
        return x + 1


class Reading(Whole):
    """Reads a value between two graphs."""

    def between(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply by a number."""
        return x * x.sum().item()


class GivenUp(Whole):
    """Breaks where Dynamo cannot resume, so that this function runs eagerly."""

    def between(self, x: torch.Tensor) -> torch.Tensor:
        """Add and double, twice."""
        for _ in range(2):
            try:
                torch._dynamo.graph_break()
                x = x + 1
            finally:
                x = x * 2
        return x


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@torch.no_grad()
def eager_operators(target: Any) -> int:
    """Compile in a first call, and count in a second."""
    with CompileLog() as log:
        target(X)
        return count_eager_operators(target, lambda: target(X), log.namespaces)


@pytest.mark.parametrize(("model", "number"), [(Whole(), 0), (Reading(), 1), (GivenUp(), 4)], ids=["no", "item", "try"])
def test_operators_outside_of_any_graph_are_counted(model: nn.Module, number: int) -> None:
    """One for `.item()`; the whole loop of a skipped function; none without a break."""
    model.compile(backend="eager")

    assert eager_operators(model) == number


def test_dynamos_own_operators_are_not_counted() -> None:
    """Dynamo converts a changing number to a tensor before it calls the graph."""
    model = Reading()
    model.compile(backend="eager")

    def twice(x: torch.Tensor) -> None:
        model(x)
        model(x * 2)

    with torch.no_grad(), CompileLog() as log:
        twice(X)
        assert count_eager_operators(model, lambda: twice(X), log.namespaces) == 2


def test_operators_of_a_compiled_function_are_counted() -> None:
    """The whole call is inside the compiled function."""
    assert eager_operators(torch.compile(Reading().forward, backend="eager")) == 1


def test_operators_of_eager_modules_are_not_counted() -> None:
    """Only operators inside of compiled modules count."""
    whole = nn.Sequential(Reading(), Reading())
    whole[0].compile(backend="eager")

    assert eager_operators(whole) == 1


def test_graphs_are_restored_after_counting() -> None:
    """The wrappers are removed, and nothing is recompiled."""
    model = Reading()
    model.compile(backend="eager")
    eager_operators(model)
    graphs = {name: graph for name, graph in globals().items() if name.startswith("__compiled_fn")}
    eager_operators(model)

    assert graphs
    assert {name: globals()[name] for name in graphs} == graphs


@pytest.mark.parametrize(
    "record",
    [
        CompilationRecord(subject=Subject(pipeline="own"), frames=(), breaks=()),
        CompilationRecord(
            subject=Subject(pipeline="own"), frames=(), breaks=(replace(BREAK, kind=BreakKind.READ_IN_THE_GRAPH),)
        ),
        CompilationRecord(subject=Subject(pipeline="own"), frames=(), breaks=(BREAK,), ended_by_fullgraph=True),
    ],
    ids=["no break", "read in the graph", "ended by fullgraph"],
)
def test_without_a_graph_break_no_further_call_is_made(record: CompilationRecord) -> None:
    """Counting needs another call, which is made only for a broken graph."""

    def never() -> None:
        pytest.fail("called")

    assert with_eager_operators(record, None, never, []) is record
