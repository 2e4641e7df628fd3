"""What the commands of `benchmarks.on_gpu` wrote, checked before any of it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from benchmarks.false_alarms.measuring import Pair
from benchmarks.on_gpu.command import REASONS, Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.results import REHEARSAL
from benchmarks.on_gpu.setting import Setting
from benchmarks.results_page.reading import FiguresError, Positive, Text, Whole, convert, read_document
from pytest_diffopt.baselines.strict_json import JSONProblem, shown

_MEASURED = "measured"
_Samples = tuple[Positive, ...]


class Machine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it was measured.

    Attributes:
        device: the GPU, as it names itself.
        versions: of the libraries and of CUDA.
    """

    device: Text
    versions: dict[str, str]

    def __str__(self) -> str:
        """Name it with its versions."""
        return ", ".join([self.device, *(f"{name} {version}" for name, version in self.versions.items())])


class _Results(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it is written; what a case holds goes by its command."""

    command: Text
    kind: Text
    environment: Machine
    cases: dict[str, dict[str, Any]]
    cut_off_seconds: dict[str, list[float]]


class _Timed(Struct, frozen=True, kw_only=True):
    """A case of the ladder or of the table; what it holds besides is not shown."""

    recipe: Text
    weights: Text
    call_seconds: _Samples
    loop_seconds: _Samples
    loop_steps: Whole
    compile_seconds: Annotated[float, Meta(ge=0)]
    compile_cache: tuple[str, ...]
    compiled_frames: Whole
    peak_allocated_bytes: Annotated[int, Meta(gt=0)] | None


class _Watched(Struct, frozen=True, kw_only=True):
    """A case of the overhead."""

    watched_seconds: Annotated[_Samples, Meta(min_length=2)]
    unwatched_seconds: Annotated[_Samples, Meta(min_length=2)]


class _Suite(Struct, frozen=True, kw_only=True):
    """A file of the suites."""

    verdicts: dict[str, int]
    skipped: Whole
    red: tuple[str, ...]
    broken: tuple[str, ...]


class _Gate(Struct, frozen=True, kw_only=True):
    """A gate as a user meets it."""

    weights: Text
    expected: Text
    seen: Text
    explanation: tuple[str, ...]
    seconds: Positive


class _PairOfProcesses(Struct, frozen=True, kw_only=True):
    """What two processes were timed."""

    weights: Text
    pair: Pair


class _WithoutFigures(Struct, frozen=True, kw_only=True):
    """A case of any command that has none, for one reason."""

    out_of_memory: Text | UnsetType = UNSET
    unavailable: Text | UnsetType = UNSET
    failed: Text | UnsetType = UNSET


_CASES: dict[str, type[Struct]] = {
    "ladder": _Timed,
    "table": _Timed,
    "overhead": _Watched,
    "suites": _Suite,
    "paired": _Gate,
    "false-alarms": _PairOfProcesses,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One file.

    Attributes:
        path: the file.
        machine: where it was measured.
        is_rehearsal: nothing in it is a measurement.
        cases: what each case gave, by its name: figures, or one of the reasons why there are none.
    """

    path: Path
    machine: Machine
    is_rehearsal: bool
    cases: Mapping[str, Figures]

    @property
    def setting(self) -> Setting:
        """Where and how large it ran."""
        return Setting(is_rehearsal=self.is_rehearsal, reports=self.path.parent)

    @property
    def weights(self) -> tuple[str, ...]:
        """Where the weights came from, in words."""
        return tuple(sorted({figures["weights"] for figures in self.cases.values() if "weights" in figures}))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why cases have no figures, in words: memory that ran out, what the machine lacks, a failure."""
        return tuple(
            f"`{name}`: {reason.replace('_', ' ')}: {figures[reason]}"
            for name, figures in self.cases.items()
            for reason in REASONS
            if reason in figures
        )


def read_measured(path: Path, command: str) -> Measured:
    """Read what a command wrote.

    Raises:
        FiguresError: the file cannot be read, or is not one of this command.
    """
    results = read_document(path, _Results)
    if results.command != command:
        msg = f"{path} cannot be shown as the {command}: its command is {shown(results.command)}"
        raise FiguresError(msg)
    if results.kind not in {_MEASURED, REHEARSAL}:
        msg = f"{path} cannot be trusted: kind: must be {shown(_MEASURED)} or a rehearsal's, got: {shown(results.kind)}"
        raise FiguresError(msg)
    measured = Measured(
        path=path, machine=results.environment, is_rehearsal=results.kind == REHEARSAL, cases=results.cases
    )
    known = {case.name for case in COMMANDS[command].cases(measured.setting)}
    for name, figures in measured.cases.items():
        _check(path, command, name, figures, known)
    return measured


def _check(path: Path, command: str, name: str, figures: Figures, known: set[str]) -> None:
    """Make sure that a case is one of the command, and holds what is shown of it."""
    if name not in known:
        msg = f"{path} cannot be trusted: cases: the {command} has no case {shown(name)}; another version wrote it"
        raise FiguresError(msg)
    given = [reason for reason in REASONS if reason in figures]
    try:
        if given:
            convert({given[0]: figures[given[0]]}, _WithoutFigures)
        else:
            convert(figures, _CASES[command])
    except JSONProblem as error:
        msg = f"{path} cannot be trusted: cases, {shown(name)}: {error}"
        raise FiguresError(msg) from error
