"""The entry of each pipeline in the atlas, as a line of JSON."""

import datetime as dt
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.diffusers_tests import results
from benchmarks.diffusers_tests.results import Result

SCHEMA_VERSION = 1
Kind = TypeVar("Kind", bound=msgspec.Struct)


class Place(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One line of source code.

    Attributes:
        file: path from its import root.
        line: line number, from 1.
        function: the enclosing function.
        source: text of the line.
    """

    file: str
    line: int
    function: str
    source: str = ""

    def __str__(self) -> str:
        """Return `file:line`."""
        return f"{self.file}:{self.line}"


class SyncLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the denoise loop that synchronizes the CPU with the GPU.

    Attributes:
        where: the line.
        operation: the call that synchronizes, as written in code.
        kind: the cause.
        per_step: number of synchronizations in each step.
    """

    where: Place
    operation: str
    kind: str
    per_step: tuple[int, ...]

    @property
    def in_later_steps(self) -> int:
        """The number in the step after the first that has most."""
        return max(self.per_step[1:], default=0)


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """The denoise loop on the simulated GPU.

    Attributes:
        num_steps: number of steps.
        syncs: the lines that synchronize in every call.
        first_call_syncs: number of synchronizations in the first step of the first call alone, which fill a cache.
        operations: operations of each step.
        bytes_to_device: bytes copied to the GPU in each step.
        bytes_to_host: bytes copied to the host in each step.
        unmodelled: operations for which the simulated GPU has no rule.
    """

    num_steps: int
    syncs: tuple[SyncLine, ...]
    first_call_syncs: int
    operations: tuple[int, ...]
    bytes_to_device: tuple[int, ...]
    bytes_to_host: tuple[int, ...]
    unmodelled: tuple[str, ...] = ()

    @property
    def syncs_in_first_step(self) -> int:
        """The number in the first step."""
        return sum(one.per_step[0] for one in self.syncs)

    @property
    def syncs_per_later_step(self) -> int:
        """The number in the step after the first that has most."""
        later = range(1, self.num_steps)
        return max((sum(one.per_step[step] for one in self.syncs) for step in later), default=0)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A line that allocated memory which stays between calls.

    Attributes:
        where: the line.
        held_bytes: the bytes.
    """

    where: Place
    held_bytes: int


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Memory that stays between calls on the simulated GPU.

    Attributes:
        calls: labels of the calls.
        growth_bytes: bytes that the last call finds in addition to its first repetition.
        holders: the lines that allocated them.
    """

    calls: tuple[str, ...]
    growth_bytes: int
    holders: tuple[Holder, ...] = ()


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A line that prevents a single graph.

    Attributes:
        where: the line.
        reason: Dynamo's reason.
    """

    where: Place
    reason: str


class Recompile(msgspec.Struct, frozen=True, kw_only=True):
    """A call that compiled again.

    Attributes:
        variation: how the call differs from the first.
        region: the function.
        guard: the guard that failed.
        changes_shape: whether the variation changes the shapes of the denoiser's inputs; one recompile is then right.
    """

    variation: str
    region: str
    guard: str
    changes_shape: bool


class Denoiser(msgspec.Struct, frozen=True, kw_only=True):
    """How a denoiser compiles.

    Attributes:
        component: its name in the pipeline.
        model: its class.
        graphs: graphs of the whole model in the first call; 1 is one graph.
        breaks: lines with graph breaks.
        is_regional: whether its repeated blocks compile with `fullgraph=True`; None if the class names none.
        regional_reason: why not.
        repeated_blocks: the classes of blocks that diffusers compiles with `compile_repeated_blocks()`.
        recompiles: calls that compiled again.
        variations: the calls that were tried.
    """

    component: str
    model: str
    graphs: int
    breaks: tuple[Break, ...]
    is_regional: bool | None
    regional_reason: str = ""
    repeated_blocks: tuple[str, ...] = ()
    recompiles: tuple[Recompile, ...] = ()
    variations: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the model compiles to one graph."""
        return self.graphs == 1 and not self.breaks


class Entry(Result, frozen=True, kw_only=True):
    """Everything that was found out about one pipeline.

    Attributes:
        pipeline: its class.
        loop: its denoise loop; None for the reason in `unknown`.
        memory: what stays between calls; None for the reason in `unknown`.
        denoisers: its denoisers; None for the reason in `unknown`.
        unknown: why something could not be found out, by the name of the attribute.
        cpu_s: CPU time of the measurement, in seconds.
    """

    pipeline: str = ""
    loop: Loop | None = None
    memory: Memory | None = None
    denoisers: tuple[Denoiser, ...] | None = None
    unknown: dict[str, str] = msgspec.field(default_factory=dict)
    cpu_s: float = 0.0


class Atlas(msgspec.Struct, frozen=True, kw_only=True):
    """All entries, with what they were measured with.

    Attributes:
        schema_version: version of this format.
        date: the day on which it was written.
        versions: packages and their versions.
        tests: version and commit of the checkout from which the tests come.
        entries: the entries.
        left: folders of tests that were not measured yet.
    """

    schema_version: int
    date: dt.date
    versions: dict[str, str]
    tests: str
    entries: tuple[Entry, ...]
    left: tuple[str, ...] = ()


def decoded(file: Path, kind: type[Kind], *, expected: str) -> Kind:
    """Read a file that a command of the atlas wrote.

    Args:
        file: the file.
        kind: the type of its content.
        expected: what it should be and which command writes it, for the message.

    Raises:
        SystemExit: the file cannot be read, or has other content.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        message = f"{file} is not {expected}: {error}"
        raise SystemExit(message) from error


def json_schema() -> bytes:
    """Return the JSON schema of an atlas."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Atlas)), indent=1) + b"\n"


def read(file: Path) -> tuple[list[Entry], set[str]]:
    """Return the entries of a file and the completed groups, as `results.read` does."""
    return results.read(file, Entry, option="--lines")
