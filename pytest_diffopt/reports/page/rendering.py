"""Render the page from templates; the result is self-contained."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pytest_diffopt._version import __version__
from pytest_diffopt.guards.failure_text import change, counted, factor, percent, size, time
from pytest_diffopt.reports import baseline_changes
from pytest_diffopt.reports.calibration import calibration_lines
from pytest_diffopt.reports.cold_start import cold_starts
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.figures import figure
from pytest_diffopt.reports.json_report import ReportError, invalid_figures_refused, read_json_report
from pytest_diffopt.reports.ladder_table import ladders
from pytest_diffopt.reports.page.cases import Case, by_pipeline, cases_of
from pytest_diffopt.reports.page.details import details_of
from pytest_diffopt.reports.page.embedded_images import EmbeddedImages
from pytest_diffopt.reports.page.overview import overview
from pytest_diffopt.reports.shards import by_gpu, environment_line, version_differences

#: The name of the file in a report's folder.
FILE_NAME = "index.html"
_TEMPLATES = "templates"


def write_page(folder: Path, report: Report) -> Path:
    """Write the page of a report into `index.html`.

    Args:
        folder: the folder of the report, which contains its images.
        report: the report.

    Raises:
        ReportError: the file cannot be written.
    """
    path = folder / FILE_NAME
    try:
        path.write_text(render(report, folder), encoding="utf-8")
    except OSError as error:
        msg = f"the report {path} cannot be written: {error.strerror}"
        raise ReportError(msg) from error
    return path


def rewrite_page(folder: Path) -> Path:
    """Write the page of a report again, from its `report.json`.

    Raises:
        ReportError: the report cannot be read or is invalid, or the page cannot be written.
    """
    report = read_json_report(folder)
    with invalid_figures_refused(folder):
        return write_page(folder, report)


def render(report: Report, folder: Path) -> str:
    """Return the page of a report, with the images in its folder."""
    cases = cases_of(report.verdicts, report.gpus())
    verdicts = by_gpu(report).items()
    style, script = _asset("page.css"), _asset("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            overview=overview(cases, report),
            failed=[case for case in cases if case.verdict.is_failure],
            others=by_pipeline([case for case in cases if not case.verdict.is_failure]),
            gpus=report.gpus(),
            where=environment_line(report.shards),
            differences=list(version_differences(report.shards)),
            ladders=[(gpu, ladder) for gpu, entries in verdicts for ladder in ladders(entries)],
            cold_starts=[(gpu, start) for gpu, entries in verdicts for start in cold_starts(entries)],
            calibrations=list(calibration_lines(report.verdicts)),
            images=EmbeddedImages(folder=folder),
            style=Markup(style),  # noqa: S704 - a file of this package
            script=Markup(script),  # noqa: S704 - a file of this package
            weakening=baseline_changes.WEAKENING,
            policy=_policy(style, script),
            version=__version__,
        )
    )


def _policy(style: str, script: str) -> str:
    """Return a content security policy that allows only the page's own script and style."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return files(__package__).joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, _TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "baselines_headline": baseline_changes.headline,
        "what_changed": baseline_changes.what_changed,
        "change": change,
        "counted": counted,
        "factor": factor,
        "figure": figure,
        "percent": percent,
        "relative": relative,
        "size": size,
        "slug": slug,
        "time": time,
    }
    environment.globals["details"] = _details
    return environment


def _details(case: Case) -> Mapping[str, Any]:
    return details_of(case.record, case.verdict)


def relative(after: float, before: float) -> str:
    """Return the relative change of a figure; empty if it was zero before."""
    return change(after / before - 1) if before else ""


def slug(text: str) -> str:
    """Return the text of an enum as a CSS class."""
    return text.replace(" ", "-")
