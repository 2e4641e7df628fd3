"""Processes on the null GPU whose figures must be equal."""

from benchmarks.null_gpu_calls import _differences

FIGURES = {"num_steps": 4, "phases": [{"phase": "step 0", "kernels": {"add": 3}, "peak_allocated_bytes": 512}]}


def test_equal_figures_have_no_difference() -> None:
    """Of any number of processes."""
    assert list(_differences([FIGURES] * 3)) == []


def test_each_figure_that_differs_is_listed() -> None:
    """With its path and the value of each process; a figure that a process lacks differs, too."""
    phase = {"phase": "step 0", "kernels": {"add": 3, "mul": 1}, "peak_allocated_bytes": 1024}

    assert list(_differences([FIGURES, FIGURES | {"phases": [phase]}])) == [
        "  phases/0/kernels/mul: None, 1",
        "  phases/0/peak_allocated_bytes: 512, 1024",
    ]
