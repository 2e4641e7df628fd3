"""Measure the cost of profiling full-size pipelines on this machine: `python benchmarks/full_size.py`.

Each pipeline is profiled in its own process, from the start of Python to the finished report: the published
architecture in bfloat16, the published call, all steps and the VAE's decoder. Arguments select pipelines by name.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_diffopt.pipelines.registry import known_pipelines

_ROOT = Path(__file__).parent.parent
_MOST_SECONDS = 20.0
_MOST_BYTES = 3 * 2**30
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The cost of one profile.

    Attributes:
        case: name of the profiled pipeline.
        seconds: wall-clock time from start to end.
        cpu_seconds: CPU time; more reliable on a busy machine.
        peak_rss_bytes: peak resident memory of the process.
        flops: counted FLOPs; costs are comparable only if these are equal.
    """

    case: str
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    flops: int


def main() -> int:
    """Print the costs; the exit code is 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("pipelines", nargs="*", metavar="NAME", help="pipelines to profile; default: all")
    options = parser.parse_args()
    costs = [_measure(name) for name in options.pipelines or known_pipelines()]
    print(json.dumps([asdict(cost) for cost in costs], indent=2) if options.json else _table(costs))
    return int(any(cost.seconds > _MOST_SECONDS or cost.peak_rss_bytes > _MOST_BYTES for cost in costs))


def _measure(name: str) -> Cost:
    command = [sys.executable, "-m", "pytest_diffopt", "profile", name, "--scale", "full", "--json"]
    with tempfile.TemporaryFile("w+") as report:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=_ROOT, stdout=report)
        _, status, usage = os.wait4(process.pid, 0)  # reports the resources of this child alone
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        report.seek(0)
        flops = json.load(report)["total"]["flops"]
    return Cost(
        case=name,
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_rss_bytes=usage.ru_maxrss * _RSS_UNIT_BYTES,
        flops=flops,
    )


def _table(costs: Sequence[Cost]) -> str:
    rows = [
        f"{cost.case:<22}{cost.seconds:>9.1f} s{cost.cpu_seconds:>9.1f} s{cost.peak_rss_bytes / 2**30:>9.2f} GiB"
        f"{cost.flops / 1e12:>10.1f} TFLOPs"
        for cost in costs
    ]
    heading = f"{'':<22}{'wall':>11}{'CPU':>11}{'peak RSS':>13}{'counted':>17}"
    limits = f"allowed: {_MOST_SECONDS:g} s and {_MOST_BYTES / 2**30:g} GiB each"
    return "\n".join([heading, *rows, limits])


if __name__ == "__main__":
    sys.exit(main())
