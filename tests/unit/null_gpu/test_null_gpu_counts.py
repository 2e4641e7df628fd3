"""Counts, records and the summary, without a library."""

from collections import Counter
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.null_gpu.counters import Counts, Tally, TallyKind, demangled, kernel_counts, read_counts
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.recording import ProcessRecord, decode_record, encode_record, read_records
from pytest_diffopt.null_gpu.summary import summary_lines
from pytest_diffopt.null_gpu.sync_lines import Line, Sync

COUNTS = Counts(
    tallies={
        TallyKind.KERNEL: {"_Z3addPf": Tally(count=5), "triton_mul": Tally(count=1)},
        TallyKind.LIBRARY_CALL: {"cublasLtMatmul m=1 n=2 k=3 batch=1": Tally(count=2)},
        TallyKind.COPY: {"host to device": Tally(count=2, bytes=3 * 2**20)},
        TallyKind.SYNC: {"cudaStreamSynchronize": Tally(count=3)},
        TallyKind.UNMODELLED: {"cuFoo": Tally(count=1)},
    }
)
RECORD = ProcessRecord(
    pid=7,
    command=("python", "x.py"),
    host_ns=1_500_000_000,
    counts=COUNTS,
    syncs=Counter({("cudaStreamSynchronize", "x.py:3"): 3}),
    peak_allocated_bytes=2**30,
    peak_reserved_bytes=2**31,
    value_notes=("aten::foo was not computed: no kernel",),
)


def test_difference_is_what_was_added() -> None:
    """Tallies that did not change are left out."""
    later = Counts(
        tallies={
            TallyKind.KERNEL: {"_Z3addPf": Tally(count=9), "triton_mul": Tally(count=1)},
            TallyKind.LIBRARY_CALL: COUNTS.of(TallyKind.LIBRARY_CALL),
            TallyKind.GRAPH_LAUNCH: {"cudaGraphLaunch": Tally(count=1)},
        }
    )

    assert (later - COUNTS).tallies == {
        TallyKind.KERNEL: {"_Z3addPf": Tally(count=4)},
        TallyKind.GRAPH_LAUNCH: {"cudaGraphLaunch": Tally(count=1)},
    }


def test_sum_of_two_parts() -> None:
    """A name that only one of them has keeps its tally."""
    other = Counts(
        tallies={
            TallyKind.KERNEL: {"_Z3addPf": Tally(count=2), "_Z3mulPf": Tally(count=1)},
            TallyKind.FILL: {"cudaMemsetAsync": Tally(count=1, bytes=8)},
        }
    )

    assert (COUNTS + other) - COUNTS == other
    assert (COUNTS + other).of(TallyKind.COPY) == COUNTS.of(TallyKind.COPY)


def test_totals() -> None:
    """Counts and bytes add up over names; a kind without tallies is zero."""
    assert COUNTS.total(TallyKind.KERNEL) == 6
    assert COUNTS.total_bytes(TallyKind.COPY) == 3 * 2**20
    assert COUNTS.total(TallyKind.GRAPH_LAUNCH) == 0


def test_names_are_demangled() -> None:
    """C++ names are readable; Triton's are unchanged."""
    assert kernel_counts(COUNTS) == {"add(float*)": 5, "triton_mul": 1}
    assert demangled("_Znonsense") == "_Znonsense"


@pytest.mark.skipif(is_active(), reason="the library is loaded")
def test_process_without_the_library_is_an_error() -> None:
    """The message names the command that starts one."""
    with pytest.raises(NullGpuError, match="does not run on the null GPU: start it with"):
        read_counts()


def test_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Also by way of a file."""
    (tmp_path / "7.json").write_text(encode_record(RECORD), encoding="utf-8")

    assert decode_record(encode_record(RECORD)) == RECORD
    assert read_records(tmp_path) == [RECORD]


def test_summary() -> None:
    """Every figure has a line, and the lines of syncs are listed."""
    assert list(summary_lines([RECORD], gpu="NVIDIA H200")) == [
        "null GPU: NVIDIA H200 (kernels are counted and not computed; there is no GPU time)",
        "  kernels           6 launches of 2 kernels",
        "  library calls     2",
        "  graph launches    0",
        "  copies            host to device 2 (3.0 MiB)",
        "  cudaMalloc etc.   0",
        "  syncs             3",
        "         3  x.py:3  cudaStreamSynchronize",
        "  peak memory       1.000 GiB allocated, 2.000 GiB reserved",
        "  host time         1.50 s",
        "  unmodelled        cuFoo 1",
        "  values            aten::foo was not computed: no kernel",
        "  most launched kernels",
        "         5  add(float*)",
        "         1  triton_mul",
    ]


def test_summary_of_a_command_that_used_no_gpu() -> None:
    """It is a line of its own, and no empty table."""
    assert list(summary_lines([], gpu="NVIDIA L4", count=2)) == [
        "null GPU: 2 x NVIDIA L4 (kernels are counted and not computed; there is no GPU time)",
        "  no process that ended used the GPU",
    ]


def test_line_of_a_sync_is_the_callers() -> None:
    """Torch's own lines are passed over; a thread without Python has no line."""
    inner = Line(file="/v/site-packages/torch/_tensor.py", number=1, function="item")
    outer = Line(file="/home/me/scheduler.py", number=12, function="step")

    assert str(Sync(api="x", thread="t", stack=(inner, outer)).line) == "/home/me/scheduler.py:12"
    assert Sync(api="x", thread="t", stack=(inner,)).line == inner
    assert Sync(api="x", thread="t", stack=()).line is None
