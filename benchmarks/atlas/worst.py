"""The problems that cost most, each with its fix in a sentence; pipelines with the same problem are one group."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from benchmarks.atlas.entries import Entry, SyncLine

# What the source of the line contains, and the fix; the first that matches is taken.
_BY_SOURCE = (
    (
        "alphas_cumprod[",
        "Keep `alphas_cumprod` on the device of the timesteps, and choose an entry with `torch.where`.",
    ),
    (
        "schedule_timesteps == timestep",
        "Call `scheduler.set_begin_index(0)` before the loop, as `FluxPipeline` does: nothing is searched for.",
    ),
    (
        "linalg.solve",
        "Solve with `torch.linalg.solve_ex`, which reads no error back.",
    ),
    (
        "torch.tensor([noise_timestep])",
        "Pass `noise_timestep.reshape(1)`: `torch.tensor([...])` reads the timestep and copies it back.",
    ),
    (
        "boundary_timestep",
        "Compare all timesteps with the boundary once before the loop.",
    ),
    (
        "float(self.scheduler.sigmas",
        "Read all sigmas once before the loop, with `.tolist()`.",
    ),
    (
        ".to(device), self.sigmas",
        "Leave `sigmas` on the CPU: a kernel takes a zero-dimensional CPU tensor without a copy.",
    ),
    (
        "torch.randn(",
        "Draw all noise before the loop, or with a generator of the GPU: a CPU generator draws on the host.",
    ),
)
_BY_KIND = {
    "read by the host": "Keep the value on the GPU, or read all steps' values once before the loop.",
    "copy from the host": "Create the tensor on the GPU, or copy it once before the loop.",
    "copy to the host": "Copy the tensor once after the loop.",
    "explicit synchronization": "Remove the call, or make it once after the loop.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Pipelines whose loops synchronize at the same lines.

    Attributes:
        entries: the entries of the pipelines.
        syncs_per_step: synchronizations in each later step, of the pipeline that has most.
        line: the line that synchronizes most, of those that the pipelines share.
        fix: what to change, in a sentence.
    """

    entries: tuple[Entry, ...]
    syncs_per_step: int
    line: SyncLine
    fix: str


def worst(entries: Iterable[Entry], most: int) -> list[Problem]:
    """Return the problems with most synchronizations in later steps, at most this many."""
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        if lines := tuple(_later_lines(entry)):
            key = tuple(sorted(_function(line) for line in lines if not _is_pipeline(line))) or _function(lines[0])
            groups.setdefault(key, []).append(entry)
    problems = [_problem(group) for group in groups.values()]
    return sorted(problems, key=lambda one: (-one.syncs_per_step, -len(one.entries), one.entries[0].name))[:most]


def _later_lines(entry: Entry) -> Iterator[SyncLine]:
    lines = entry.loop.syncs if entry.loop else ()
    return (line for line in lines if line.in_later_steps)


def _function(line: SyncLine) -> tuple[str, str]:
    return PurePath(line.where.file).name, line.where.function


def _is_pipeline(line: SyncLine) -> bool:
    return PurePath(line.where.file).name.startswith("pipeline_")


def _problem(group: list[Entry]) -> Problem:
    entry = max(group, key=lambda one: one.loop.syncs_per_later_step if one.loop else 0)
    lines = list(_later_lines(entry))
    shared = [line for line in lines if not _is_pipeline(line)]
    line = max(shared or lines, key=lambda one: one.in_later_steps)
    return Problem(
        entries=tuple(group),
        syncs_per_step=entry.loop.syncs_per_later_step if entry.loop else 0,
        line=line,
        fix=fix_of(line),
    )


def fix_of(line: SyncLine) -> str:
    """Return what removes the synchronization of a line: known for its source, or for its kind."""
    known = (fix for text, fix in _BY_SOURCE if text in line.where.source)
    return next(known, _BY_KIND[line.kind])
