"""The reports that are merged: read, named, and held against each other."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.reports.document import Report, Shard
from pytest_diffopt.reports.json_report import FILE_NAME, ReportError, ReportVersionError, read_json_report


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One report that is merged.

    Attributes:
        name: what the merged report calls its shard: the folder's, with as many of those above as tell it apart.
        folder: where it lies.
        report: what it holds, of one session.
    """

    name: str
    folder: Path
    report: Report

    @property
    def session(self) -> Shard:
        """The only one that it tells of."""
        (session,) = self.report.shards
        return session


def read_sources(folders: Sequence[Path]) -> list[Source]:
    """Read the reports of all shards.

    Raises:
        ReportError: one is named twice, cannot be read or trusted, is merged already or of another version than the
            others, or two of them have the same case of the same GPU.
    """
    names = _names(folders)
    reports = _reports(folders)
    sources = [
        Source(name=name, folder=folder, report=report)
        for name, folder, report in zip(names, folders, reports, strict=True)
    ]
    _refuse_merged(sources)
    _refuse_cases_twice(sources)
    return sources


def _names(folders: Sequence[Path]) -> list[str]:
    """Name each folder by its own name, or where two have the same by the way from the folder that holds them all."""
    resolved = [folder.resolve() for folder in folders]
    for number, folder in enumerate(resolved):
        if folder in resolved[:number]:
            msg = f"each report must be named once, got {folders[number]} twice"
            raise ReportError(msg)
    names = [folder.name for folder in resolved]
    if len(set(names)) == len(names):
        return names
    top = Path(os.path.commonpath(resolved))
    return [folder.relative_to(top).as_posix() for folder in resolved]


def _reports(folders: Sequence[Path]) -> list[Report]:
    """Read every report, before one of another version is refused: its message names a file of each."""
    read: list[Report] = []
    refused: list[ReportVersionError] = []
    versions: dict[object, Path] = {}
    for folder in folders:
        try:
            read.append(read_json_report(folder))
            versions.setdefault(read[-1].schema_version, folder / FILE_NAME)
        except ReportVersionError as error:
            refused.append(error)
            versions.setdefault(str(error.version), error.path)
    if refused and len(versions) > 1:
        (one, first), (other, second), *_ = versions.items()
        msg = (
            f"reports of different versions cannot be merged: {first} is of version {one}, {second} of {other}\n"
            "  run every shard with the same pytest-diffopt"
        )
        raise ReportError(msg) from refused[0]
    if refused:
        raise refused[0]
    return read


def _refuse_merged(sources: Sequence[Source]) -> None:
    for source in sources:
        if [shard.name for shard in source.report.shards] != [""]:
            msg = (
                f"the report {source.folder / FILE_NAME} is merged already\n"
                "  name the reports that it was made from, beside the others"
            )
            raise ReportError(msg)


def _refuse_cases_twice(sources: Sequence[Source]) -> None:
    """Refuse what would be counted twice: a case is told from itself by its GPU and its scale, and by nothing else."""
    seen: dict[tuple[str, str, str], Source] = {}
    for source in sources:
        cases = dict.fromkeys(_cases(source))
        for case in cases:
            if case in seen:
                msg = (
                    f"{case[-1]} ran twice on {source.session.environment.device}: "
                    f"in {seen[case].folder} and in {source.folder}\n"
                    "  name one report of each case: two runs of one would count as two"
                )
                raise ReportError(msg)
        seen |= dict.fromkeys(cases, source)


def _cases(source: Source) -> Iterator[tuple[str, str, str]]:
    gpu = source.session.environment.device_slug
    for entry in source.report.verdicts:
        yield gpu, entry.verdict.subject.scale, entry.nodeid
