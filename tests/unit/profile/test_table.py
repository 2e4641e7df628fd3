"""The report as text and as JSON."""

import json
from dataclasses import replace

from pytest_diffopt.profile import document, table
from tests.unit.profile.profile_examples import LINE, a_phase, a_profile, a_target


def report(*steps: object, top: int = 5, **changes: object) -> list[str]:
    """Return the report of a call with these steps."""
    return list(table.lines(a_profile(*steps, **changes), a_target(), top=top))  # type: ignore[arg-type]


def test_equal_steps_are_one_row() -> None:
    """Equal later steps share a row, and all rows are aligned."""
    lines = report(a_phase("step 1", syncs=2), a_phase("step 2"), a_phase("step 3"))

    assert lines[:9] == [
        "mine (example), recipe bf16, num_inference_steps=3",
        "on a simulated nvidia-h200: 989.4 TFLOP/s for bfloat16, 4.8 TB/s, 150 GB; 5 GB copied to it before the call",
        "",
        "                 FLOPs  operations  to the GPU  to the host  peak memory  syncs         roofline",
        "encode               0         100         0 B          0 B         1 GB      0     1 ms (bytes)",
        "step 1             2 T         100         0 B          0 B         1 GB      2  2.02 ms (FLOPs)",
        "steps 2-3, each    2 T         100         0 B          0 B         1 GB      0  2.02 ms (FLOPs)",
        "all 3 steps        6 T         300         0 B          0 B         1 GB      2          6.06 ms",
        "decode             2 T         100         0 B          0 B         1 GB      0  2.02 ms (FLOPs)",
    ]


def test_different_steps_are_a_range() -> None:
    """Later steps that differ show the minimum and the maximum."""
    lines = report(a_phase("step 1"), a_phase("step 2", syncs=1), a_phase("step 3", flops=10**12, syncs=3))

    assert "steps 2-3, each  1 T - 2 T" in lines[6]
    assert "1 - 3  1.01 ms (FLOPs) - 2.02 ms (FLOPs)" in lines[6]


def test_one_step_has_no_sum() -> None:
    """A call of one step has no row for later steps and no row for their sum."""
    names = [line.split("  ")[0] for line in report(a_phase("step 1"))[4:8]]

    assert names == ["encode", "step 1", "decode", "total"]


def test_syncs_at_one_place_share_a_line() -> None:
    """A sync in every step is one line: the count, the place and the phases."""
    lines = report(*(a_phase(f"step {number}", syncs=2) for number in (1, 2, 3)))

    assert "     6 x  .item() (read by the host) in step 1 to step 3 (3 phases, 2 each): " in "\n".join(lines)


def test_lists_show_the_number_of_hidden_entries() -> None:
    """The last line of a cut list has the number of hidden entries and the option that shows them."""
    holders = tuple((replace(LINE, line=number), 100) for number in range(5))
    lines = report(a_phase("step 1"), top=2, peak_holders=holders)

    start = lines.index("memory at the peak, by the line that allocated it:")
    assert lines[start + 1 : start + 4] == [
        "      100 B  diffusers/scheduler.py:0 in step  x.item()",
        "      100 B  diffusers/scheduler.py:1 in step  x.item()",
        "  ... and 3 more (--top 5 shows all)",
    ]


def test_a_peak_above_the_gpus_memory_is_reported() -> None:
    """A call that needs more memory than the GPU has is reported at the top."""
    lines = report(a_phase("step 1"), peak_memory_bytes=200 * 10**9)

    assert lines[2] == "out of memory on a real GPU: the peak is 200 GB"


def test_unmodelled_operations_and_placeholders_are_reported() -> None:
    """Operations without a rule and reads of placeholder values have their own sections."""
    lines = report(a_phase("step 1"), unmodelled=("mine::op",), placeholders=(LINE,))

    assert lines[-5:] == [
        "operations that the simulation does not model, not fully counted:",
        "  mine::op",
        "",
        "reads of values that do not exist, which returned zeros:",
        "  diffusers/scheduler.py:7 in step  x.item()",
    ]


def test_json_holds_every_step() -> None:
    """JSON has raw numbers for each step, and each sync with its place."""
    profile = a_profile(a_phase("step 1", syncs=2), a_phase("step 2"))
    written = json.loads(document.as_json(profile, a_target()))

    assert written["schema_version"] == 1
    assert [step["name"] for step in written["steps"]] == ["step 1", "step 2"]
    assert written["steps"][0]["syncs"] == [
        {
            "count": 2,
            "operation": ".item()",
            "kind": "read by the host",
            "is_reported": True,
            "file": "diffusers/scheduler.py",
            "line": 7,
            "function": "step",
            "source": "x.item()",
        }
    ]
    assert written["steps"][0]["attention"][0]["kernel"] == "flash"
    assert written["total"]["flops"] == 6 * 10**12
    assert written["gpu_model"]["bound_tflops"] == 989.4
