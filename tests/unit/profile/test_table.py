"""The report as text, and as JSON, of made-up profiles."""

import json
from dataclasses import replace

from pytest_diffopt.profile import document, table
from tests.unit.profile.profile_examples import LINE, a_phase, a_profile, a_target


def report(*steps: object, top: int = 5, **changes: object) -> list[str]:
    """Write the report of a call with these steps."""
    return list(table.lines(a_profile(*steps, **changes), a_target(), top=top))  # type: ignore[arg-type]


def test_equal_steps_are_one_row() -> None:
    """Later steps that are alike share a row, and every row is aligned."""
    lines = report(a_phase("step 1", syncs=2), a_phase("step 2"), a_phase("step 3"))

    assert lines[:9] == [
        "mine (made up), recipe bf16, num_inference_steps=3",
        "on a simulated nvidia-h200: 989.4 TFLOP/s for bfloat16, 4.8 TB/s, 141 GB; 5 GB copied there before",
        "",
        "                 FLOPs  operations  to the GPU  to the host  peak memory  waits         roofline",
        "encode               0         100         0 B          0 B         1 GB      0     1 ms (bytes)",
        "step 1             2 T         100         0 B          0 B         1 GB      2  2.02 ms (FLOPs)",
        "steps 2-3, each    2 T         100         0 B          0 B         1 GB      0  2.02 ms (FLOPs)",
        "all 3 steps        6 T         300         0 B          0 B         1 GB      2          6.06 ms",
        "decode             2 T         100         0 B          0 B         1 GB      0  2.02 ms (FLOPs)",
    ]


def test_different_steps_are_a_range() -> None:
    """Later steps that differ show the least and the most."""
    lines = report(a_phase("step 1"), a_phase("step 2", syncs=1), a_phase("step 3", flops=10**12, syncs=3))

    assert "steps 2-3, each  1 T - 2 T" in lines[6]
    assert "1 - 3  1.01 ms (FLOPs) - 2.02 ms (FLOPs)" in lines[6]


def test_one_step_has_no_sum() -> None:
    """A call of one step has no later steps and no sum of them."""
    names = [line.split("  ")[0] for line in report(a_phase("step 1"))[4:8]]

    assert names == ["encode", "step 1", "decode", "total"]


def test_waits_are_reported_once_a_place() -> None:
    """A wait that comes again in every step is one line: how often, where, and in which phases."""
    lines = report(*(a_phase(f"step {number}", syncs=2) for number in (1, 2, 3)))

    assert "     6 x  .item() (read by the host) in step 1 to step 3 (3 phases, 2 each): " in "\n".join(lines)


def test_lists_are_cut_and_are_reported() -> None:
    """What is left out is counted, and the option that shows it is named."""
    holders = tuple((replace(LINE, line=number), 100) for number in range(5))
    lines = report(a_phase("step 1"), top=2, peak_holders=holders)

    start = lines.index("memory at the peak is held by:")
    assert lines[start + 1 : start + 4] == [
        "      100 B  diffusers/scheduler.py:0 in step  x.item()",
        "      100 B  diffusers/scheduler.py:1 in step  x.item()",
        "  ... and 3 more (--top 5 shows all)",
    ]


def test_a_peak_above_the_gpu_is_reported() -> None:
    """A call that needs more memory than the GPU has is told at the top."""
    lines = report(a_phase("step 1"), peak_memory_bytes=200 * 10**9)

    assert lines[2] == "out of memory on a real one: the peak is 200 GB"


def test_what_is_not_known_is_reported() -> None:
    """Operations without a rule and invented values are sections of their own."""
    lines = report(a_phase("step 1"), unmodelled=("mine::op",), placeholders=(LINE,))

    assert lines[-5:] == [
        "not known to the simulation, so not fully counted:",
        "  mine::op",
        "",
        "answered with zeros, as the values do not exist:",
        "  diffusers/scheduler.py:7 in step  x.item()",
    ]


def test_json_holds_every_step() -> None:
    """Machines get raw numbers of each step, and each wait with its place."""
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
