"""Copy the images of all shards into the merged report's folder, with one subfolder for each shard."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from pytest_diffopt.baselines.key import slug
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.json_report import FILE_NAME, ReportError
from pytest_diffopt.reports.merging.sources import Source
from pytest_diffopt.reports.page.embedded_images import InvalidImageError, path_of
from pytest_diffopt.session.ledger import LedgerEntry

_FOLDER = "images"


def with_images(report: Report, sources: Sequence[Source], folder: Path) -> Report:
    """Copy every image of a report into a folder, and return the report with the new names.

    Args:
        report: the combined report of all shards.
        sources: the shards.
        folder: the folder of the merged report.

    Raises:
        ReportError: an image is missing, is outside of its report's folder, or cannot be written.
    """
    by_name = {source.name: source for source in sources}
    verdicts = [_with_images(entry, by_name[entry.shard], folder) for entry in report.verdicts]
    return msgspec.structs.replace(report, verdicts=verdicts)


def _with_images(entry: LedgerEntry, source: Source, folder: Path) -> LedgerEntry:
    moved = {
        part: [one | {"files": _moved(one["files"], source, folder)} for one in entry.record[part]]
        for part in ("differences", "videos")
        if any(one.get("files") for one in entry.record.get(part, ()))
    }
    return replace(entry, record=entry.record | moved) if moved else entry


def _moved(files: dict[str, Any] | None, source: Source, folder: Path) -> dict[str, Any] | None:
    if not files:
        return None
    return {part: _copied(file, source, folder) if isinstance(file, str) else file for part, file in files.items()}


def _copied(name: str, source: Source, folder: Path) -> str:
    """Copy one image, and return its path relative to the merged report's folder."""
    try:
        path = path_of(source.folder, name)
        inside = path.relative_to(source.folder.resolve())
        parts = inside.parts[1:] if inside.parts[:1] == (_FOLDER,) else inside.parts
        target = PurePosixPath(_FOLDER, slug(source.name), *parts)
        if not (folder / target).exists():  # two verdicts may have the same image
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / target)
    except (OSError, ValueError, InvalidImageError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = (
            f"the image {name} of the report {source.folder / FILE_NAME} cannot be copied: {reason}\n"
            "  merge the whole folder that --diffopt-report wrote, with its images"
        )
        raise ReportError(msg) from error
    return str(target)
