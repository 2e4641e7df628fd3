"""The table and chart of a ladder show the findings about each level, without empty columns."""

from typing import Any

from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.recipes.ladders import ladder
from pytest_diffopt.records import Concern, Device, Subject
from pytest_diffopt.reports.ladder_table import ladder_lines
from pytest_diffopt.session.ledger import LedgerEntry

LEVELS = ladder("modern", "sdxl")


def entry(
    number: int,
    concern: Concern,
    outcome: Outcome = Outcome.PASSED,
    *,
    device: Device = Device.CPU,
    **record: Any,
) -> LedgerEntry:
    """Return the ledger entry of a ladder test with this verdict."""
    level = LEVELS[number - 1]
    subject = Subject(pipeline="sdxl", scale="tiny", recipe=level.recipe, device=device)
    verdict = Verdict(concern=concern, outcome=outcome, subject=subject, summary="")
    return LedgerEntry(nodeid=f"suites/test_ladders.py::test_it[sdxl-{level.test_id}]", verdict=verdict, record=record)


def counted(number: int, operations: int, peak: int, moved: int = 0) -> LedgerEntry:
    """Return the ledger entry of a level's counts."""
    phases = [
        {"phase": "before the loop", "operations": 1, "peak_memory_bytes": 1, "bytes_to_device": 7},
        {"phase": "steps 1-3", "operations": operations, "peak_memory_bytes": peak, "bytes_to_device": moved},
    ]
    return entry(number, Concern.COUNTS, phases=phases)


def test_without_a_gpu_the_chart_shows_counted_memory() -> None:
    """A skipped level has no row, and empty columns are omitted."""
    lines = ladder_lines(
        [
            entry(1, Concern.APPLIED),
            entry(1, Concern.SYNCS),
            counted(1, 480, 4 * 1024),
            entry(2, Concern.APPLIED),
            entry(2, Concern.GRAPH_BREAKS, Outcome.REGRESSED),
            counted(2, 400, 1024),
        ]
    )

    assert list(lines) == [
        "ladder modern: sdxl (tiny)",
        "     level    applied  graph breaks  syncs   operations a step  peak memory",
        "  1  bf16     passed   -             passed  480                4.00 KiB",
        "  2  compile  passed   regressed     -       400                1.00 KiB",
        "  peak memory",
        "  bf16     ########################  4.00 KiB",
        "  compile  ######                    1.00 KiB",
    ]


def test_what_offload_a_cache_and_images_cost() -> None:
    """The bytes that a late step moves, the calls that a step cache saved, and the least similar image."""
    saved = {"figure": "calls of blocks or layers that were taken from the cache", "value": 8}
    other = {"figure": "calls of compiled graphs", "value": 4}
    lines = ladder_lines(
        [
            counted(1, 480, 4 * 1024),
            entry(1, Concern.IMAGES, differences=[{"ssim": 0.9996}]),
            counted(2, 400, 1024, moved=2048),
            entry(2, Concern.EFFECT, effects=[other, saved]),
            entry(2, Concern.IMAGES, differences=[{"ssim": 0.99}, {"ssim": 0.97}]),
        ]
    )

    assert list(lines)[1:4] == [
        "     level    effect  images  operations a step  peak memory  moved a step  reused  SSIM",
        "  1  bf16     -       passed  480                4.00 KiB     -             -       1.000",
        "  2  compile  passed  passed  400                1.00 KiB     2.00 KiB      8       0.970",
    ]


def test_a_test_whose_id_only_looks_like_a_ladders_is_left_out() -> None:
    """A word of a ladder's name in the id of a test of another pipeline."""
    verdict = Verdict(concern=Concern.SYNCS, outcome=Outcome.PASSED, subject=Subject(pipeline="mine"), summary="")

    assert not list(ladder_lines([LedgerEntry(nodeid="test_it[a-memory-b]", verdict=verdict, record={})]))


def test_on_the_null_gpu_the_table_shows_launches() -> None:
    """Of a late step, the share of them that CUDA graphs launch, and host time beside the device's lower bound."""

    def launched(number: int, kernels: int, in_graphs: int) -> LedgerEntry:
        return entry(number, Concern.KERNELS, phases=launched_phases(kernels, in_graphs))

    def timed(number: int, host_ms: int, device_ms: int) -> LedgerEntry:
        return entry(
            number,
            Concern.LATENCY,
            device=Device.NULL_GPU,
            samples_ns=[host_ms * 1_000_000],
            roofline_ns=device_ms * 1e6,
        )

    entries = [launched(1, 190, 0), launched(2, 90, 75), timed(1, 41, 22), timed(2, 20, 21)]

    assert list(ladder_lines(entries)) == [
        "ladder modern: sdxl (tiny)",
        "     level    launches a step  library calls  in graphs  CUDA graphs  peak memory  host time  "
        "device at least  gap",
        "  1  bf16     200              10             0.0 %      -            3.00 KiB     41.0 ms    "
        "22.0 ms          19.0 ms",
        "  2  compile  100              10             75.0 %     2            3.00 KiB     20.0 ms    "
        "21.0 ms          device-bound",
        "  launches a step",
        "  bf16     ########################  200",
        "  compile  ############              100",
    ]


def launched_phases(kernels: int, in_graphs: int = 0) -> list[dict[str, Any]]:
    """Return the phases of a kernel record."""
    step = {"kernels": {"add": kernels}, "library_calls": {"gemm": 10}, "launches_in_graphs": in_graphs}
    step |= {"graph_launches": 2 if in_graphs else 0, "peak_allocated_bytes": 2048}
    other = {"kernels": {"add": 1}, "library_calls": {}, "launches_in_graphs": 0, "graph_launches": 0}
    other |= {"peak_allocated_bytes": 3072}
    return [{"phase": "steps 1-3", **step}, {"phase": "after the loop", **other}]


def test_on_the_null_gpu_the_table_shows_estimated_times() -> None:
    """Of a late step: the host's time, the GPU's, what its estimate lacks, and by how much the host takes longer."""

    def estimated(number: int, host_ms: int, device_ms: int) -> LedgerEntry:
        rows = [("step 0", 9 * host_ms, device_ms), ("later steps", host_ms, device_ms)]
        phases = [{"phase": name, "host_ns": host * 10**6, "busy_ns": device * 10**6} for name, host, device in rows]
        timeline = {"phases": phases, "launches": 400, "without_model": 100 * (number - 1)}
        return entry(number, Concern.KERNELS, phases=launched_phases(90), timeline=timeline)

    assert list(ladder_lines([estimated(1, 41, 22), estimated(2, 20, 21), counted(2, 400, 1024)]))[:4] == [
        "ladder modern: sdxl (tiny)",
        "     level    operations a step  launches a step  library calls  in graphs  peak memory  host a step  "
        "GPU a step, estimated  launches without an estimate  gap a step",
        "  1  bf16     -                  100              10             0.0 %      3.00 KiB     41.0 ms      "
        "22.0 ms                -                             19.0 ms",
        "  2  compile  400                100              10             0.0 %      1.00 KiB     20.0 ms      "
        "21.0 ms                25.0 %                        device-bound",
    ]


def test_memory_that_was_counted_has_precedence() -> None:
    """Over the peak of the call whose kernels were counted, in any order of the verdicts."""
    launched = entry(1, Concern.KERNELS, phases=launched_phases(90))
    for both in ([counted(1, 400, 4096), launched], [launched, counted(1, 400, 4096)]):
        lines = list(ladder_lines([*both, entry(2, Concern.SYNCS)]))

        assert lines[2].endswith("4.00 KiB")


def test_on_a_gpu_the_chart_shows_latency() -> None:
    """The table has the speedup of each level over the first."""
    lines = ladder_lines(
        [
            entry(1, Concern.LATENCY, samples_ns=[8_000_000, 9_000_000, 8_000_000]),
            entry(2, Concern.LATENCY, samples_ns=[2_000_000]),
        ]
    )

    assert list(lines) == [
        "ladder modern: sdxl (tiny)",
        "     level    latency  times as fast",
        "  1  bf16     8.00 ms  1.00x",
        "  2  compile  2.00 ms  4.00x",
        "  latency",
        "  bf16     ########################  8.00 ms",
        "  compile  ######                    2.00 ms",
    ]


def test_of_two_verdicts_the_worse_one_is_shown() -> None:
    """In any order of the verdicts."""
    bad, good = entry(1, Concern.SYNCS, Outcome.REGRESSED), entry(1, Concern.SYNCS)
    for both in ([bad, good], [good, bad]):
        lines = list(ladder_lines([*both, entry(2, Concern.SYNCS)]))

        assert lines[2] == "  1  bf16     regressed"


def test_a_test_outside_of_a_ladder_adds_no_level() -> None:
    """Other suites run the same recipes."""
    level = LEVELS[0]
    subject = Subject(pipeline="sdxl", scale="tiny", recipe=level.recipe)
    verdict = Verdict(concern=Concern.SYNCS, outcome=Outcome.PASSED, subject=subject, summary="")
    other = LedgerEntry(nodeid=f"suites/test_sdxl.py::test_it[sdxl-{level.recipe}]", verdict=verdict, record={})

    assert list(ladder_lines([other, entry(1, Concern.SYNCS)])) == []
