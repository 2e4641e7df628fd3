"""Measure the costs that the documentation claims, and write them with date and machine into docs/figures.md.

python -m benchmarks.figures
python -m benchmarks.figures --only start-up stored-cases

The commands run one after the other. A figure that was not measured keeps its earlier
section, which has its own date and machine. The exit code is 1 if a command fails or exceeds its own limit.
"""

import argparse
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.marked_section import replace_section
from pytest_diffopt.baselines.git import git_output
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.records import Device

_ROOT = Path(__file__).parents[1]
_PAGE = _ROOT / "docs" / "figures.md"
_SHOWN = ("torch", "diffusers", "transformers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """A command that prints figures of the documentation.

    Attributes:
        name: name of the section, and of the command line's --only.
        arguments: arguments of Python.
    """

    name: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command, as a reader enters it."""
        return f"python {' '.join(self.arguments)}"


MEASUREMENTS = (
    Measurement(name="start-up", arguments=("benchmarks/start_up.py",)),
    Measurement(name="timed-region", arguments=("benchmarks/timed_region.py",)),
    Measurement(name="stored-cases", arguments=("benchmarks/stored_cases.py",)),
    Measurement(name="compile-watching", arguments=("benchmarks/compile_watching.py",)),
    Measurement(name="image-check", arguments=("benchmarks/image_check.py",)),
    Measurement(name="report-page", arguments=("-m", "benchmarks.report_page")),
    Measurement(name="simulated-gpu", arguments=("benchmarks/simulated_gpu_speed.py",)),
    Measurement(name="full-size", arguments=("benchmarks/full_size.py",)),
    Measurement(name="gate", arguments=("benchmarks/gate.py",)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write each section when its command ends."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [one.name for one in MEASUREMENTS]
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME", help=", ".join(known))
    options = parser.parse_args(arguments)
    return max(_write(one) for one in MEASUREMENTS if one.name in options.only)


def _write(measurement: Measurement) -> int:
    print(measurement.command, flush=True)
    command = [sys.executable, *measurement.arguments]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
    print(ran.stdout, end="", flush=True)
    if not ran.stdout.strip():  # it failed before it measured anything
        print(ran.stderr, file=sys.stderr)
        return 1
    replace_section(
        _PAGE, measurement.name, section(measurement, ran.stdout, machine(), dt.datetime.now(dt.UTC).date())
    )
    return ran.returncode


def section(measurement: Measurement, output: str, where: str, date: dt.date) -> list[str]:
    """Return the lines of a section: the command, what it printed, and when and where."""
    lines = [line.rstrip() for line in output.strip().splitlines()]
    return [
        f"`{measurement.command}`, {date:%Y-%m-%d}, {where}:",
        "",
        "<!-- not run: takes minutes, and prints other figures on another machine -->",
        "",
        "```text",
        *lines,
        "```",
    ]


def machine() -> str:
    """Return the machine, the versions and the revision of a measurement."""
    environment = capture_environment(Device.CPU)
    versions = ", ".join(f"{name} {environment.versions[name]}" for name in _SHOWN if name in environment.versions)
    revision = git_output(_ROOT, "rev-parse", "--short=10", "HEAD")
    return f"{environment.device_name}, {os.cpu_count()} cores, {versions}, revision {revision}"


if __name__ == "__main__":
    sys.exit(main())
