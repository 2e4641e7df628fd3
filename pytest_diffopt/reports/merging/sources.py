"""The reports to merge: read, named and checked against each other."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.reports.document import Report, Shard
from pytest_diffopt.reports.json_report import FILE_NAME, ReportError, ReportVersionError, read_json_report


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One report to merge.

    Attributes:
        name: name of its shard in the merged report: the folder's name, or its path if two names are equal.
        folder: the folder of the report.
        report: the report, of one session.
    """

    name: str
    folder: Path
    report: Report

    @property
    def session(self) -> Shard:
        """The single session of the report."""
        (session,) = self.report.shards
        return session


def read_sources(folders: Sequence[Path]) -> list[Source]:
    """Read the reports of all shards.

    Raises:
        ReportError: a report is named twice, cannot be read, is invalid, is already merged or has another version than
            the others, or two reports have the same case on the same GPU.
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
    """Return the names of the folders; if two are equal, the paths relative to the common parent folder."""
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
    """Read every report before refusing another version, because the error names a file of each version."""
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
                f"the report {source.folder / FILE_NAME} is already merged\n"
                "  name the reports that it was merged from instead"
            )
            raise ReportError(msg)


def _refuse_cases_twice(sources: Sequence[Source]) -> None:
    """Refuse a case that two reports have with the same GPU and scale: it would count twice."""
    seen: dict[tuple[str, str, str], Source] = {}
    for source in sources:
        cases = dict.fromkeys(_cases(source))
        for case in cases:
            if case in seen:
                msg = (
                    f"{case[-1]} ran twice on {source.session.environment.device}: "
                    f"in {seen[case].folder} and in {source.folder}\n"
                    "  name one report of each case: two runs would count as two cases"
                )
                raise ReportError(msg)
        seen |= dict.fromkeys(cases, source)


def _cases(source: Source) -> Iterator[tuple[str, str, str]]:
    gpu = source.session.environment.device_slug
    for entry in source.report.verdicts:
        yield gpu, entry.verdict.subject.scale, entry.nodeid
