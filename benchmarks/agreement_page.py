"""The section of docs/simulated-gpu.md that `make truth` writes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.agreement import LAUNCH_TOLERANCE, PEAK_TOLERANCE, Agreement, Figure, Verdict
from benchmarks.marked_section import with_section
from benchmarks.on_gpu.results import ResultsError

DOCS_PAGE = Path(__file__).parent.parent / "docs" / "simulated-gpu.md"
_BEGIN = "<!-- written by make truth: begin -->"
_END = "<!-- written by make truth: end -->"
# A group of cases: the prefix of their names, its title, and whether each case has a row.
_GROUPS = (
    ("row: ", "calls of the sync table's test", False),
    ("scheduler: ", "schedulers, 4 steps each", False),
    ("tiny: ", "built-in pipelines, tiny", True),
    ("full: ", "built-in pipelines at full size, 2 steps", True),
    ("memory: ", "recipes for less memory at full size, 2 steps", True),
)


def write_section(page: Path, verdict: Verdict, environment: Mapping[str, Any]) -> None:
    """Replace the section between the markers.

    Raises:
        ResultsError: the page has no markers.
    """
    lines = "\n".join(section_lines(verdict, environment))
    text = with_section(page.read_text(encoding="utf-8"), _BEGIN, _END, f"\n{lines}\n")
    if text is None:
        msg = f"{page} must have the lines {_BEGIN} and {_END}"
        raise ResultsError(msg)
    page.write_text(text, encoding="utf-8")


def section_lines(verdict: Verdict, environment: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the section."""
    versions = ", ".join(f"{name} {one}" for name, one in environment["versions"].items())
    yield f"Compared with {environment['device']} ({versions}) by `make truth`:"
    yield ""
    yield "| cases | number | the sync debug mode's syncs equal | all syncs equal | FLOPs equal |"
    yield "|---|---|---|---|---|"
    for prefix, title, _ in _GROUPS:
        if group := [one for one in verdict.agreements if one.case.startswith(prefix)]:
            yield _group_row(title, group)
    yield ""
    yield from _attention_line(verdict)
    yield (
        f"Launches are kernels and library calls (allowed: {LAUNCH_TOLERANCE:.0%}); the peak is that of the caching "
        f"allocator (allowed: {PEAK_TOLERANCE:.0%}). At full size it includes the weights."
    )
    yield ""
    yield "| pipeline | syncs | launches, simulated / CUDA | peak MiB, simulated / CUDA | ratio |"
    yield "|---|---|---|---|---|"
    for prefix, title, has_rows in _GROUPS:
        if has_rows:
            yield from (_pipeline_row(one, prefix, title) for one in verdict.agreements if one.case.startswith(prefix))
    yield ""
    yield from _limit_lines(verdict)


def _attention_line(verdict: Verdict) -> Iterator[str]:
    for one in verdict.agreements:
        if one.real.choices:
            differing = sum(found.figure is Figure.ATTENTION for found in one.disagreements())
            calls = len(one.real.choices)
            agreeing = f"{calls - differing} of {calls} random calls"
            yield f"The attention kernel is that of torch's `select_sdp_backend` in {agreeing}."
            yield ""


def _group_row(title: str, agreements: Sequence[Agreement]) -> str:
    equal = (_agreeing(agreements, figure) for figure in (Figure.SYNCS, Figure.ALL_SYNCS, Figure.FLOPS))
    return f"| {title} | {len(agreements)} | {' | '.join(equal)} |"


def _agreeing(agreements: Sequence[Agreement], figure: Figure) -> str:
    counted = [one for one in agreements if figure is not Figure.FLOPS or one.real.flops is not None]
    if not counted:
        return "not counted"
    return str(sum(all(found.figure is not figure for found in one.disagreements()) for one in counted))


_MIB = 2**20


def _pipeline_row(one: Agreement, prefix: str, title: str) -> str:
    size = title.removeprefix("built-in pipelines").strip(", ").split(",")[0]
    peaks = f"{one.simulated.peak_bytes / _MIB:.2f} / {one.real.peak_bytes / _MIB:.2f}"
    ratio = "-" if one.peak_ratio is None else f"{one.peak_ratio:.4f}"
    launches = f"{one.simulated.launches} / {one.real.launches}"
    syncs = f"{one.simulated.num_syncs} / {one.real.num_syncs}"
    return f"| `{one.case.removeprefix(prefix)}`, {size} | {syncs} | {launches} | {peaks} | {ratio} |"


def _limit_lines(verdict: Verdict) -> Iterator[str]:
    if not verdict.limits:
        yield "No disagreement is left."
        return
    yield "Every disagreement is one of these stated limits:"
    yield ""
    yield from (f"- `{limit.case}`: {limit.reason}" for limit in verdict.limits)
