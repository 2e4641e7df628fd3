"""The result of each pipeline of diffusers' tests, as a line of JSON in a file that an interrupted run continues."""

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec


class Outcome(enum.Enum):
    """The last stage that a pipeline reached."""

    RAN = "ran"
    NOT_BUILT = "not built"
    FAILED = "failed"
    CRASHED = "crashed"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of every pipeline.

    Attributes:
        group: folder of diffusers' tests.
        case: file and class in the folder; only the file if it cannot be imported.
        outcome: the last stage that the pipeline reached.
        reason: why it went no further.
    """

    group: str
    case: str
    outcome: Outcome
    reason: str = ""

    @property
    def name(self) -> str:
        """Unique name of the pipeline."""
        return f"{self.group}/{self.case}"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a worker prints after a group is complete."""

    done: str


Kind = TypeVar("Kind", bound=Result)


def parsed(line: bytes, kind: type[Kind]) -> Kind | Done:
    """Return what a line of JSON holds.

    Raises:
        msgspec.DecodeError: the line is no JSON object.
        msgspec.ValidationError: it is neither a result of this kind nor the end of a group.
    """
    one = msgspec.json.decode(line, type=dict[str, object])
    return msgspec.convert(one, Done) if "done" in one else msgspec.convert(one, kind)


def read(file: Path, kind: type[Kind], *, option: str) -> tuple[list[Kind], set[str]]:
    """Return the results of a file and the completed groups; the incomplete last line of a killed worker is ignored.

    Args:
        file: the file, which need not exist.
        kind: the type of the results.
        option: the option that names the file, for the message.

    Raises:
        SystemExit: a line was not written by this benchmark.
    """
    results: list[Kind] = []
    done: set[str] = set()
    lines = file.read_bytes().split(b"\n") if file.exists() else []
    for number, line in enumerate(lines[:-1], 1):
        if not line:
            continue
        try:
            one = parsed(line, kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            message = (
                f"{file}, line {number}: {error}; give {option} another file, or remove this one to start from scratch"
            )
            raise SystemExit(message) from error
        if isinstance(one, Done):
            done.add(one.done)
        else:
            results.append(one)
    return results, done


def rewrite(file: Path, results: Iterable[Result], done: Iterable[str]) -> None:
    """Write a file again, without the incomplete last line of an interrupted worker."""
    lines = [*map(msgspec.json.encode, results), *(msgspec.json.encode(Done(done=group)) for group in sorted(done))]
    file.write_bytes(b"".join(line + b"\n" for line in lines))
