"""What a process did on the null GPU, written to a file as the process ends."""

import atexit
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_diffopt.null_gpu.counters import Counts, Tally, TallyKind, read_counts
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.sync_lines import Sync, recording_syncs

RECORDS_VARIABLE = "DIFFOPT_NULL_GPU_RECORDS"
VALUES_VARIABLE = "DIFFOPT_NULL_GPU_VALUES"
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessRecord:
    """What a process did on the null GPU.

    Attributes:
        pid: the process.
        command: its arguments.
        host_ns: its wall-clock time from the start of Python.
        counts: what was counted.
        syncs: the syncs by (API function, line).
        peak_allocated_bytes: torch's peak of allocated memory; None if torch was not imported.
        peak_reserved_bytes: torch's peak of reserved memory; None if torch was not imported.
        value_notes: what the values could not do, in sentences.
    """

    pid: int
    command: tuple[str, ...]
    host_ns: int
    counts: Counts
    syncs: Counter[tuple[str, str]] = field(default_factory=Counter)
    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    value_notes: tuple[str, ...] = ()


class _Recording:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started_ns = time.monotonic_ns()
        self.pid = os.getpid()
        self.syncs: Counter[tuple[str, str]] = Counter()
        self.values_report: Any = None
        self.open = ExitStack()

    def add(self, sync: Sync) -> None:
        self.syncs[sync.api, str(sync.line or f"thread {sync.thread}, which runs no Python")] += 1

    def write(self) -> None:
        if os.getpid() != self.pid:  # a fork: its parent writes
            return
        allocated, reserved = _peaks()
        record = ProcessRecord(
            pid=self.pid,
            command=tuple(sys.orig_argv),
            host_ns=time.monotonic_ns() - self.started_ns,
            counts=read_counts(),
            syncs=self.syncs,
            peak_allocated_bytes=allocated,
            peak_reserved_bytes=reserved,
            value_notes=() if self.values_report is None else self.values_report.notes(),
        )
        if record.counts.tallies:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{self.pid}.json").write_text(encode_record(record), encoding="utf-8")


def start_recording() -> None:
    """Record what this process does, if the environment asks for it."""
    folder = os.environ.get(RECORDS_VARIABLE)
    if not folder:
        return
    try:
        read_counts()
    except NullGpuError:
        return
    recording = _Recording(Path(folder))
    recording.open.enter_context(recording_syncs(recording.add))
    atexit.register(recording.write)
    values = os.environ.get(VALUES_VARIABLE)
    if values:
        _after_torch(lambda: _start_values(recording, values))


def _start_values(recording: _Recording, values: str) -> None:
    from pytest_diffopt.null_gpu.values.computing import Values, computing  # noqa: PLC0415 - it imports torch

    recording.values_report = recording.open.enter_context(computing(Values(values)))


class _TorchImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Calls a function after torch is imported, however it is."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        loader = self._loader
        if loader is not None:
            module.__loader__ = loader
            loader.exec_module(module)
        self._then()


def _after_torch(then: Callable[[], None]) -> None:
    sys.meta_path.insert(0, _TorchImport(then))


def _peaks() -> tuple[int | None, int | None]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None, None
    devices = range(torch.cuda.device_count())
    allocated = sum(torch.cuda.max_memory_allocated(device) for device in devices)
    return allocated, sum(torch.cuda.max_memory_reserved(device) for device in devices)


# ---- the file


def encode_record(record: ProcessRecord) -> str:
    """Write a record as JSON."""
    tallies = {
        kind.name: {name: asdict(tally) for name, tally in sorted(record.counts.of(kind).items())}
        for kind in TallyKind
        if record.counts.of(kind)
    }
    content = {
        "pid": record.pid,
        "command": list(record.command),
        "host_ns": record.host_ns,
        "tallies": tallies,
        "syncs": [[api, line, count] for (api, line), count in sorted(record.syncs.items())],
        "peak_allocated_bytes": record.peak_allocated_bytes,
        "peak_reserved_bytes": record.peak_reserved_bytes,
        "value_notes": list(record.value_notes),
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def decode_record(text: str) -> ProcessRecord:
    """Read a record that `encode_record` wrote."""
    content = json.loads(text)
    tallies = {
        TallyKind[kind]: {name: Tally(**tally) for name, tally in named.items()}
        for kind, named in content["tallies"].items()
    }
    return ProcessRecord(
        pid=content["pid"],
        command=tuple(content["command"]),
        host_ns=content["host_ns"],
        counts=Counts(tallies=tallies),
        syncs=Counter({(api, line): count for api, line, count in content["syncs"]}),
        peak_allocated_bytes=content["peak_allocated_bytes"],
        peak_reserved_bytes=content["peak_reserved_bytes"],
        value_notes=tuple(content["value_notes"]),
    )


def read_records(folder: Path) -> list[ProcessRecord]:
    """Read the records of all processes that ended, the longest-lived first."""
    records = [decode_record(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted(records, key=lambda record: -record.host_ns)


def host_seconds(record: ProcessRecord) -> float:
    """Return a record's host time in seconds."""
    return record.host_ns / _NS_PER_S
