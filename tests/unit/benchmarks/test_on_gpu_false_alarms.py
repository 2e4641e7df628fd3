"""Test the GPU command `false-alarms`: its pairs of processes and its table; nothing is timed."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.false_alarms.measuring import Pair
from benchmarks.false_alarms.projects import TimedCall
from benchmarks.on_gpu import __main__ as on_gpu
from benchmarks.on_gpu import false_alarms
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device, PairedBlock, PairedTiming
from tests.unit.benchmarks.pair_examples import measured_pair

GPU = {"device": "NVIDIA H200", "versions": {"torch": "2.11.0", "cuda": "13.0"}}
MEASURED = Setting(is_rehearsal=False, reports=Path("reports"))
REHEARSED = Setting(is_rehearsal=True, reports=Path("reports"))
MS = 1_000_000
#: Measured slowdowns of pairs of the same code.
SAME_CODE = {1: 0.001, 2: -0.002, 3: 0.0035, 4: -0.0005}


def pair(slowdown: float, *, measured_slowdown: float, blocks: int = 20, throttled: int = 0) -> Figures:
    """Return the figures of a pair of processes with a measured slowdown of head, with 0.1 % of noise."""
    head_ns = 200 * MS * (1 + measured_slowdown)
    one = PairedBlock(base_ns=(200 * MS, 200 * MS), head_ns=(round(0.999 * head_ns), round(1.001 * head_ns)))
    timed = measured_pair(
        slowdown,
        timing=PairedTiming.INTERLEAVED,
        seconds=20.0,
        blocks=(one,) * blocks,
        throttled_blocks=throttled,
    )
    return {"recipe": "bf16 + sdpa", "weights": "random", "pair": json.loads(msgspec.json.encode(timed))}


def test_first_half_has_every_slowdown() -> None:
    """Pairs of the same code alternate with slowdowns; the first half of a run measures every slowdown."""
    names = [case.name for case in COMMANDS["false-alarms"].cases(MEASURED)]

    assert names[:8] == [
        "same code, pair 1",
        "2 % injected, pair 1",
        "same code, pair 2",
        "5 % injected, pair 1",
        "same code, pair 3",
        "1 % injected, pair 1",
        "same code, pair 4",
        "3 % injected, pair 1",
    ]
    assert len(names) == 16


def test_pairs_run_full_size_sdxl_on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each pair is measured once, with its own number, and its raw times are kept."""
    calls: list[dict[str, Any]] = []

    def measure(slowdown: float, **how: Any) -> Pair:
        calls.append({"slowdown": slowdown, **how})
        return msgspec.convert(pair(slowdown, measured_slowdown=slowdown)["pair"], Pair)

    monkeypatch.setattr(false_alarms, "measure", measure)
    monkeypatch.setattr(false_alarms, "weights_of", lambda _setting: "random")
    figures = [case.measure() for case in COMMANDS["false-alarms"].cases(MEASURED)[:2]]

    call = TimedCall(device=Device.CUDA, scale=Scale.FULL, recipe="bf16 + sdpa", steps=2)
    assert calls == [
        {"slowdown": slowdown, "seconds": 20.0, "seconds_in_turn": 0.0, "number": number, "call": call}
        for number, slowdown in enumerate((0.0, 0.02))
    ]
    assert json.loads(json.dumps(figures)) == [pair(0.0, measured_slowdown=0.0), pair(0.02, measured_slowdown=0.02)]


def test_false_alarms_table() -> None:
    """The table has each pair, and the outcomes of sessions that are simulated with the limit of their spread."""
    same = {f"same code, pair {number}": pair(0.0, measured_slowdown=one) for number, one in SAME_CODE.items()}
    seen = same | {"5 % injected, pair 1": pair(0.05, measured_slowdown=0.048, throttled=3)}

    lines = COMMANDS["false-alarms"].table(MEASURED, seen)

    assert [lines[at] for at in (0, 1, 4)] == [
        "pair of processes     head slower by  noise   call  blocks  throttled",
        "same code, pair 1             +0.10%  0.03%  0.2 s      20          0",
        "5 % injected, pair 1          +4.80%  0.03%  0.2 s      20          3",
    ]
    assert lines[17:] == [
        "injected      pairs  head slower by  slower  not slower  inconclusive",
        "same code         4          +0.05%   0.00%      99.92%         0.07%",
        "1 % injected      0               -  40.05%      54.73%         5.22%",
        "2 % injected      0               -  99.88%       0.00%         0.12%",
        "3 % injected      0               -  99.98%       0.00%         0.03%",
        "5 % injected      1          +4.80%  99.98%       0.00%         0.03%",
        "4 pairs of the same code differ by 0.23%, at most 0.68% at 95 % confidence; sessions of up to 30 pairs are "
        "simulated with this limit; margin 1 %",
    ]


def test_two_pairs_of_the_same_code_show_no_spread() -> None:
    """No share is printed for what was not seen; a rehearsal is marked in every line."""
    seen = {"same code, pair 1": pair(0.0, measured_slowdown=0.001)}

    lines = on_gpu.report(COMMANDS["false-alarms"], REHEARSED, GPU, seen)

    assert lines[7] == "rehearsal | same code         1          +0.10%       -           -             -"
    assert lines[8] == "rehearsal | 1 % injected      0               -       -           -             -"
    assert lines[-1] == "rehearsal | at least 3 pairs of the same code show how much processes differ"


def test_throttled_pair_has_no_ratio() -> None:
    """A pair without blocks is marked as throttled, and no session is drawn from it."""
    seen = {
        "same code, pair 1": pair(0.0, measured_slowdown=0.0, blocks=0, throttled=7),
        "5 % injected, pair 1": {"failed": "no"},
    }

    lines = COMMANDS["false-alarms"].table(REHEARSED, seen)

    assert lines[1].split() == ["same", "code,", "pair", "1", "throttled", "0", "7"]
    assert lines[2].split() == ["5", "%", "injected,", "pair", "1", "failed"]
    assert lines[4].split() == ["same", "code", "0", "-", "-", "-", "-"]
