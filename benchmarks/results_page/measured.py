"""Read and validate the results files of the commands of `benchmarks.on_gpu`."""

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
    """The machine of a measurement.

    Attributes:
        device: name of the GPU.
        versions: versions of the libraries and of CUDA.
    """

    device: Text
    versions: dict[str, str]

    def __str__(self) -> str:
        """Return the name with the versions."""
        return ", ".join([self.device, *(f"{name} {version}" for name, version in self.versions.items())])


class _Results(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A results file; the content of its cases depends on the command."""

    command: Text
    kind: Text
    environment: Machine
    cases: dict[str, dict[str, Any]]
    cut_off_seconds: dict[str, list[float]]


class _Timed(Struct, frozen=True, kw_only=True):
    """A case of `ladder` or `table`; other keys are not shown."""

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
    """A case of `overhead`."""

    watched_seconds: Annotated[_Samples, Meta(min_length=2)]
    unwatched_seconds: Annotated[_Samples, Meta(min_length=2)]


class _Suite(Struct, frozen=True, kw_only=True):
    """A case of `suites`."""

    verdicts: dict[str, int]
    skipped: Whole
    failures: tuple[str, ...]
    broken: tuple[str, ...]


class _Gate(Struct, frozen=True, kw_only=True):
    """A case of `paired`."""

    weights: Text
    expected: Text
    actual: Text
    explanation: tuple[str, ...]
    seconds: Positive


class _PairOfProcesses(Struct, frozen=True, kw_only=True):
    """A case of `false-alarms`."""

    weights: Text
    pair: Pair


class _WithoutFigures(Struct, frozen=True, kw_only=True):
    """A case of any command without figures, with the reason."""

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
    """One results file.

    Attributes:
        path: path of the file.
        machine: machine of the measurement.
        is_rehearsal: whether it is from a rehearsal, not a measurement.
        cases: figures of each case, or the reason why there are none, by name.
    """

    path: Path
    machine: Machine
    is_rehearsal: bool
    cases: Mapping[str, Figures]

    @property
    def setting(self) -> Setting:
        """Device and scale of the command."""
        return Setting(is_rehearsal=self.is_rehearsal, reports=self.path.parent)

    @property
    def weights(self) -> tuple[str, ...]:
        """Origins of the weights."""
        return tuple(sorted({figures["weights"] for figures in self.cases.values() if "weights" in figures}))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons why cases have no figures: out of memory, unavailable or failed."""
        return tuple(
            f"`{name}`: {reason.replace('_', ' ')}: {figures[reason]}"
            for name, figures in self.cases.items()
            for reason in REASONS
            if reason in figures
        )


def read_measured(path: Path, command: str) -> Measured:
    """Read the results file of a command.

    Raises:
        FiguresError: the file cannot be read, is invalid, or is of another command.
    """
    results = read_document(path, _Results)
    if results.command != command:
        msg = f"{path} must be of the command {command}, got: {shown(results.command)}"
        raise FiguresError(msg)
    if results.kind not in {_MEASURED, REHEARSAL}:
        msg = f"{path} is invalid: kind: must be {shown(_MEASURED)} or a rehearsal's, got: {shown(results.kind)}"
        raise FiguresError(msg)
    measured = Measured(
        path=path, machine=results.environment, is_rehearsal=results.kind == REHEARSAL, cases=results.cases
    )
    known = {case.name for case in COMMANDS[command].cases(measured.setting)}
    for name, figures in measured.cases.items():
        _check(path, command, name, figures, known)
    return measured


def _check(path: Path, command: str, name: str, figures: Figures, known: set[str]) -> None:
    """Validate that a case belongs to the command, and has the keys that are shown."""
    if name not in known:
        msg = f"{path} is invalid: cases: {command} has no case {shown(name)}; another version wrote the file"
        raise FiguresError(msg)
    given = [reason for reason in REASONS if reason in figures]
    try:
        if given:
            convert({given[0]: figures[given[0]]}, _WithoutFigures)
        else:
            convert(figures, _CASES[command])
    except JSONProblem as error:
        msg = f"{path} is invalid: cases, {shown(name)}: {error}"
        raise FiguresError(msg) from error
