"""Operators that run between graphs are counted as eager code calls them, and no others."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.probes.compilation import CompileLog
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
        """Return what is between the two layers."""
        return x + 1


class Reading(Whole):
    """Asks for a value between two graphs."""

    def between(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply by a number."""
        return x * x.sum().item()


class GivenUp(Whole):
    """Breaks where Dynamo cannot resume, so that this function runs uncompiled."""

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
def left_out(target: Any) -> int:
    """Compile by a first call, and count in a second."""
    with CompileLog() as log:
        target(X)
        return count_eager_operators(target, lambda: target(X), log.namespaces)


@pytest.mark.parametrize(("model", "number"), [(Whole(), 0), (Reading(), 1), (GivenUp(), 4)], ids=["no", "item", "try"])
def test_what_runs_outside_of_any_graph(model: nn.Module, number: int) -> None:
    """One for `.item()`; the whole loop where Dynamo gave up; none where nothing broke."""
    model.compile(backend="eager")

    assert left_out(model) == number


def test_dynamos_own_operators_are_none_of_the_users() -> None:
    """A number that changes becomes a tensor before the graph that takes it is called."""
    model = Reading()
    model.compile(backend="eager")

    def twice(x: torch.Tensor) -> None:
        model(x)
        model(x * 2)

    with torch.no_grad(), CompileLog() as log:
        twice(X)
        assert count_eager_operators(model, lambda: twice(X), log.namespaces) == 2


def test_a_compiled_function() -> None:
    """All that is called is inside what is compiled."""
    assert left_out(torch.compile(Reading().forward, backend="eager")) == 1


def test_what_is_not_compiled_is_none_of_it() -> None:
    """Only what belongs to something compiled can be left out of its graph."""
    whole = nn.Sequential(Reading(), Reading())
    whole[0].compile(backend="eager")

    assert left_out(whole) == 1


def test_graphs_are_called_as_before_afterwards() -> None:
    """Nothing is wrapped any more, and nothing was compiled again."""
    model = Reading()
    model.compile(backend="eager")
    left_out(model)
    graphs = {name: graph for name, graph in globals().items() if name.startswith("__compiled_fn")}
    left_out(model)

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
def test_nothing_is_called_again_where_nothing_was_left_out(record: CompilationRecord) -> None:
    """Counting costs a call, which only a broken graph is worth."""

    def never() -> None:
        pytest.fail("called")

    assert with_eager_operators(record, None, never, []) is record
