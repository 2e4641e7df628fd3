"""Measure how often the paired gate is wrong about host time on the null GPU, with the same code and with 3 % injected.

python -m benchmarks.host_time --gate

It needs a CUDA build of torch and no GPU. Base is tiny SDXL. Head is the same code, or has a Python hook on each block
of the UNet, and the hooks together add 3 % to the host time of a step. Each pair of processes is appended to the --raw
file as soon as it is measured; repeat an interrupted command to continue. Sessions of the gate are drawn from these
pairs.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.false_alarms.collecting import pairs_of
from benchmarks.false_alarms.measuring import Pair
from benchmarks.false_alarms.projects import TimedCall
from benchmarks.false_alarms.resampled import log_ratio_of
from benchmarks.false_alarms.rules import paired_gate
from benchmarks.marked_section import replace_section
from benchmarks.on_gpu.gate_sessions import commit, run_session
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device
from pytest_diffopt.statistics.sequential import LOOKS
from pytest_diffopt.statistics.spread import Spread, spread_of

#: The injected share of the host time of a step.
INJECTED = 0.03
_SECTION = "host-time"
_SESSION_SECONDS, _MARGIN, _SESSIONS = 60.0, 0.01, 10_000
_PRODUCT = '''"""The code under test."""

from injected_delay import cpu_delay

SHARE = {share}


def prepare(pipeline, inputs):
    if SHARE:
        delay = cpu_delay(SHARE)
        for name, module in pipeline.unet.named_modules():
            if name.rpartition(".")[0] in {{"down_blocks", "up_blocks"}} or name == "mid_block":
                module.register_forward_hook(lambda *_: delay())
'''
_OUTCOMES = {0.0: "passed", INJECTED: "regressed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class HookedCall(TimedCall):
    """A timed call whose slowdown is a Python hook on each block of the UNet."""

    def project(self, slowdown: float) -> dict[str, str]:
        """Return the texts of the project's files, by file name.

        Args:
            slowdown: share of the host time of a step that the hooks add.
        """
        # Without arguments `super` does not work in a dataclass with slots.
        return TimedCall.project(self, 0.0) | {"product.py": _PRODUCT.format(share=slowdown)}


#: Tiny SDXL on the null GPU.
CALL = HookedCall(device=Device.NULL_GPU, scale=Scale.TINY, recipe="bf16 + sdpa")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; the exit code is 1 if a session of the gate did not end as expected."""
    options = _parsed(arguments)
    lines = table(pairs_of(options, CALL, slowdowns=_OUTCOMES))
    print(*lines, sep="\n")
    if options.page:
        replace_section(options.page, _SECTION, lines)
    if not options.gate:
        return 0
    return int({share: _gate_outcome(share, options.report) for share in _OUTCOMES} != _OUTCOMES)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host_time", description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of processes that run the same code")
    parser.add_argument("--injected-pairs", type=int, default=60, help="pairs of processes with 3 %% injected")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each pair is timed")
    parser.add_argument("--raw", type=Path, default=Path("host_time.jsonl"), help="measured times, one pair a line")
    parser.add_argument("--judge-only", action="store_true", help="do not measure, only judge the pairs of --raw")
    parser.add_argument("--page", type=Path, help="page of the documentation to write the table into")
    parser.add_argument("--gate", action="store_true", help="also run one session of the gate for each, as a user does")
    parser.add_argument("--report", type=Path, default=Path("host_time"), help="folder of these sessions' reports")
    return parser.parse_args(arguments)


def table(pairs: Sequence[Pair]) -> list[str]:
    """Return a line for the same code and one for the injected slowdown: how pairs differ, and what sessions decide.

    Args:
        pairs: the measured pairs of both.
    """
    lines = [
        "| host time on the null GPU | pairs | head slower by | pairs differ by | called slower | passes | after |",
        "|---|---|---|---|---|---|---|",
    ]
    for slowdown in _OUTCOMES:
        group = [pair for pair in pairs if pair.slowdown == slowdown]
        ratios = [log_ratio_of(pair, seconds=_SESSION_SECONDS / LOOKS[-1]) for pair in group]
        ended = paired_gate(group, seconds=_SESSION_SECONDS, margin=_MARGIN, number=_SESSIONS)
        lines.append(
            f"| {f'{slowdown:.0%} injected' if slowdown else 'same code'} | {len(group)} | {_mean(ratios)} | "
            f"{_spread(ratios)} | {_known(ended.slower, '.2%')} | {_known(ended.as_fast, '.2%')} | "
            f"{_known(ended.median_seconds, 'g')} s |"
        )
    return lines


def _known(value: float, digits: str) -> str:
    return "-" if math.isnan(value) else format(value, digits)


def _mean(ratios: Sequence[float]) -> str:
    return f"{np.expm1(np.mean(ratios)):+.2%}" if ratios else "-"


def _spread(ratios: Sequence[float]) -> str:
    # A deviation needs two values.
    found: Spread | None = spread_of(ratios) if len(ratios) > 1 else None
    return f"{found.deviation:.2%} (at most {found.high:.2%})" if found else "-"


def _gate_outcome(share: float, report: Path) -> str:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="host-time-") as name:
        folder = Path(name).resolve()
        for one in (0.0, share):
            commit(folder, CALL.project(one))
        ended = run_session(folder, ("--diffopt-against=HEAD~1", *CALL.options), report=report.resolve() / f"{share:g}")
    print(f"{share:.0%} injected: {ended} after {time.monotonic() - start:.0f} s", *ended.explanation, sep="\n  ")
    return ended.outcome


if __name__ == "__main__":
    sys.exit(main())
