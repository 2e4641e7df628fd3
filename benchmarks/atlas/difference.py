"""What changed between two atlases, a sentence for each change.

python -m benchmarks.atlas.difference before.json after.json
"""

import argparse
import enum
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.atlas.entries import Atlas, Denoiser, Entry, SyncLine, decoded
from benchmarks.diffusers_tests.results import Outcome

_MIB = 2**20


class Direction(enum.Enum):
    """Whether a change costs or saves."""

    WORSE = "worse"
    BETTER = "better"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A changed figure of one pipeline.

    Attributes:
        pipeline: class of the pipeline.
        direction: whether it became worse.
        text: the change, such as `+1 sync per step (diffusers/pipelines/wan/pipeline_wan.py:617)`.
    """

    pipeline: str
    direction: Direction
    text: str

    def __str__(self) -> str:
        """Return the change with its pipeline."""
        return f"{self.pipeline}: {self.text}"


def differences(before: Atlas, after: Atlas) -> list[Change]:
    """Return the changes of the pipelines that both atlases have, worse ones first."""
    return entry_differences(before.entries, after.entries)


def entry_differences(before: Sequence[Entry], after: Sequence[Entry]) -> list[Change]:
    """Return the changes of the pipelines that are in both, worse ones first."""
    earlier = {entry.name: entry for entry in before if entry.outcome is Outcome.RAN}
    pairs = [(earlier[entry.name], entry) for entry in after if _is_in(entry, earlier)]
    changes = [change for old, new in pairs for change in _changes(old, new)]
    return sorted(changes, key=lambda one: (one.direction is Direction.BETTER, one.pipeline, one.text))


def _is_in(entry: Entry, earlier: Mapping[str, Entry]) -> bool:
    return entry.outcome is Outcome.RAN and entry.name in earlier


def _changes(old: Entry, new: Entry) -> Iterator[Change]:
    for text, increase in (*_loop_changes(old, new), *_memory_changes(old, new), *_denoiser_changes(old, new)):
        direction = Direction.WORSE if increase > 0 else Direction.BETTER
        yield Change(pipeline=new.pipeline, direction=direction, text=text)


def _loop_changes(old: Entry, new: Entry) -> Iterator[tuple[str, int]]:
    if old.loop is None or new.loop is None:
        return
    first = new.loop.syncs_in_first_step - old.loop.syncs_in_first_step
    later = new.loop.syncs_per_later_step - old.loop.syncs_per_later_step
    where = _places(old.loop.syncs, new.loop.syncs)
    if later:
        yield f"{later:+d} {_plural(later, 'sync')} per step{where}", later
    elif first:
        yield f"{first:+d} {_plural(first, 'sync')} in the first step{where}", first
    operations = max(new.loop.operations, default=0) - max(old.loop.operations, default=0)
    if operations:
        yield f"{operations:+d} {_plural(operations, 'operation')} per step", operations


def _places(old: Sequence[SyncLine], new: Sequence[SyncLine]) -> str:
    """Return the lines that synchronize more often or less often than before; a line is known by its text."""
    counted: dict[tuple[str, str, str], int] = {}
    shown: dict[tuple[str, str, str], str] = {}
    for sign, lines in ((-1, old), (1, new)):
        for line in lines:
            key = (line.where.file, line.where.function, line.where.source)
            counted[key] = counted.get(key, 0) + sign * sum(line.per_step)
            shown[key] = str(line.where)
    changed = [shown[key] for key, count in counted.items() if count]
    return f" ({', '.join(changed)})" if changed else ""


def _memory_changes(old: Entry, new: Entry) -> Iterator[tuple[str, int]]:
    if old.memory is None or new.memory is None:
        return
    more = new.memory.growth_bytes - old.memory.growth_bytes
    if more:
        yield f"{more / _MIB:+.2f} MiB of memory stay between calls", more


def _denoiser_changes(old: Entry, new: Entry) -> Iterator[tuple[str, int]]:
    earlier = {one.component: one for one in old.denoisers or ()}
    for denoiser in new.denoisers or ():
        if denoiser.component in earlier:
            yield from _compile_changes(earlier[denoiser.component], denoiser)


def _compile_changes(old: Denoiser, new: Denoiser) -> Iterator[tuple[str, int]]:
    breaks = len(new.breaks) - len(old.breaks)
    if breaks:
        known = {(one.where.function, one.where.source) for one in old.breaks}
        added = [str(one.where) for one in new.breaks if (one.where.function, one.where.source) not in known]
        where = f" ({', '.join(added)})" if added else ""
        yield f"{breaks:+d} graph {_plural(breaks, 'break')} in {new.component}{where}", breaks
    if old.is_regional is not new.is_regional and None not in (old.is_regional, new.is_regional):
        if new.is_regional:
            yield f"the repeated blocks of {new.component} compile with fullgraph=True", -1
        else:
            yield f"the repeated blocks of {new.component} no longer compile: {new.regional_reason}", 1
    again = len(new.recompiles) - len(old.recompiles)
    if again:
        yield f"{again:+d} {_plural(again, 'recompile')} of {new.component}", again


def _plural(number: int, noun: str) -> str:
    return noun if abs(number) == 1 else f"{noun}s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the changes; the exit code is 1 if one is worse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.atlas.difference", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args(arguments)
    before, after = (read_atlas(file) for file in (options.before, options.after))
    changes = differences(before, after)
    print("\n".join(map(str, changes)) or "no figure changed")
    return any(one.direction is Direction.WORSE for one in changes)


def read_atlas(file: Path) -> Atlas:
    """Read an atlas.

    Raises:
        SystemExit: the file cannot be read, or is no atlas.
    """
    return decoded(file, Atlas, expected="an atlas, which `python -m benchmarks.atlas --json` writes")


if __name__ == "__main__":
    sys.exit(main())
