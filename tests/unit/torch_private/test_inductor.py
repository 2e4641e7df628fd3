"""Inductor's flags are read and set by name."""

import pytest
import torch
import torch._dynamo.utils as dynamo_utils
import torch._inductor.metrics as inductor_metrics

from pytest_diffopt._torch_private.inductor import inductor_flags, inductor_flags_set, inductor_totals

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/inductor.py"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (dynamo_utils, "get_compilation_metrics"),
        (inductor_metrics, "generated_kernel_count"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """The message has the missing name and the module that uses it."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")


def test_inductors_flags_are_read_set_and_restored() -> None:
    """The names are those that recipes use."""
    before = inductor_flags()["conv_1x1_as_mm"]
    with inductor_flags_set({"conv_1x1_as_mm": not before}):
        during = inductor_flags()["conv_1x1_as_mm"]

    assert (during, inductor_flags()["conv_1x1_as_mm"]) == (not before, before)


def test_totals_are_what_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels by Inductor's metrics, the rest by Dynamo's counters; a test on the null GPU compiles."""
    before = inductor_totals()
    monkeypatch.setattr(inductor_metrics, "generated_kernel_count", inductor_metrics.generated_kernel_count + 3)
    monkeypatch.setitem(dynamo_utils.counters["inductor"], "extern_calls", before["external_calls"] + 2)
    monkeypatch.setitem(dynamo_utils.counters["inductor"], "cudagraph_partitions", before["graph_partitions"] + 1)
    after = inductor_totals()

    assert {name: after[name] - before[name] for name in after} == {
        "generated_kernels": 3,
        "external_calls": 2,
        "graph_partitions": 1,
    }
