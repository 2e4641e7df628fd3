"""Compare host time on the null GPU by the paired gate, as a user does.

python -m benchmarks.host_time --report host_time

It needs a CUDA build of torch and no GPU. Base is tiny SDXL. Head is the same code, and then the same code with a
Python hook on each block of the UNet, which adds 3 % to the host time of a step.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.false_alarms.projects import TimedCall
from benchmarks.on_gpu.gate_sessions import Ending, commit, run_session
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device

_CALL = TimedCall(device=Device.NULL_GPU, scale=Scale.TINY, recipe="bf16 + sdpa")
_PRODUCT = '''"""The code under test."""

import time

SHARE = {share}


def prepare(pipeline, inputs):
    if SHARE:
        for name, module in pipeline.unet.named_modules():
            if name.rpartition(".")[0] in {{"down_blocks", "up_blocks"}} or name == "mid_block":
                module.register_forward_hook(delayed())


LAST_NS = [time.thread_time_ns()]


def delayed():
    def hook(*_):
        now_ns = time.thread_time_ns()
        end_ns = now_ns + SHARE * (now_ns - LAST_NS[0])
        while time.thread_time_ns() < end_ns:
            pass
        LAST_NS[0] = time.thread_time_ns()

    return hook
'''
_EXPECTED = {0.0: "passed", 0.03: "regressed"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare each version, and print the gate's message; the exit code is 1 if one is not as expected."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host_time", description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("host_time"), help="folder of the reports")
    parser.add_argument("--share", type=float, choices=_EXPECTED, nargs="+", default=list(_EXPECTED))
    parser.add_argument("--options", nargs="*", default=[], help="more options of pytest, without their dashes")
    options = parser.parse_args(arguments)
    wrong = 0
    for share in options.share:
        start = time.monotonic()
        ended = _compared(share, options)
        wrong += ended.outcome != _EXPECTED[share]
        print(f"{share:.0%} injected: {ended} after {time.monotonic() - start:.0f} s", *ended.explanation, sep="\n  ")
    return int(bool(wrong))


def _compared(share: float, options: argparse.Namespace) -> Ending:
    with tempfile.TemporaryDirectory(prefix="host-time-") as name:
        folder = Path(name).resolve()
        for one in (0.0, share):
            commit(folder, _CALL.project(0.0) | {"product.py": _PRODUCT.format(share=one)})
        more = [f"--{option}" for option in options.options]
        report = options.report.resolve() / f"{share:g}"
        return run_session(folder, ("--diffopt-against=HEAD~1", *_CALL.options, *more), report=report)


if __name__ == "__main__":
    sys.exit(main())
