"""Every command, by name."""

from benchmarks.on_gpu.command import Command
from benchmarks.on_gpu.false_alarms import FALSE_ALARMS
from benchmarks.on_gpu.ladder import LADDER
from benchmarks.on_gpu.overhead import OVERHEAD
from benchmarks.on_gpu.paired import PAIRED
from benchmarks.on_gpu.suites import BASELINES, SUITES
from benchmarks.on_gpu.throughput import TABLE

COMMANDS: dict[str, Command] = {
    one.name: one for one in (LADDER, TABLE, OVERHEAD, SUITES, BASELINES, PAIRED, FALSE_ALARMS)
}
