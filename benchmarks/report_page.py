"""Measure time and size of the report page for 500 cases: `python -m benchmarks.report_page`.

At most 5 s of CPU time and 20 MB are allowed. The first row is a typical session: every guard, many pipelines, tiny
images. The other rows have only image cases, with three images for each case, all passed or all failed.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_diffopt.records import ImageFiles
from pytest_diffopt.reports.json_report import read_json_report, write_json_report
from pytest_diffopt.reports.page.rendering import write_page
from pytest_diffopt.session.ledger import LedgerEntry
from tests.unit.reports.report_examples import ON_GPU, SDXL, clean, draw_images, images, one_of_each, report

CASES = 500
MOST_SECONDS = 5.0
MOST_MEGABYTES = 20.0


def session(folder: Path) -> list[LedgerEntry]:
    """Return entries of a session with failures in one pipeline, and none in the others."""
    found = one_of_each([draw_images(folder)])
    for number in range(math.ceil(CASES / 11)):
        subject = replace(SDXL, pipeline=f"pipeline-{number}")
        passed = clean(subject, replace(ON_GPU, pipeline=subject.pipeline))
        kept = draw_images(folder, name=subject.pipeline)
        found += [images(subject, files=(kept,), ssim=1.0) if "test_image" in one.nodeid else one for one in passed]
    return found[:CASES]


def only_images(folder: Path, side: int, *, ssim: float) -> list[LedgerEntry]:
    """Return only image entries; each has its own files, so that every file is read."""
    drawn = draw_images(folder, side=side, noise=0.02)
    return [images(files=(_copied(folder, drawn, number),), ssim=ssim) for number in range(CASES)]


def _copied(folder: Path, files: ImageFiles, number: int) -> ImageFiles:
    names = {}
    for part in ("image", "reference", "heat_map"):
        source = folder / getattr(files, part)
        target = source.with_name(f"{source.stem}-{number}.png")
        target.hardlink_to(source)
        names[part] = str(target.relative_to(folder))
    return ImageFiles(**names)


def measure(name: str, find: Callable[[Path], Sequence[LedgerEntry]]) -> bool:
    """Write the report and its page, and read the report; return whether time and size are within the limits."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        findings = report(find(folder))
        begin, begin_cpu = time.perf_counter(), time.process_time()
        path = write_json_report(folder, findings)
        page = write_page(folder, findings)
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
        begin = time.process_time()
        read_json_report(folder)
        reading = time.process_time() - begin
        megabytes, document = page.stat().st_size / 1e6, path.stat().st_size / 1e6
    print(f"{name:<36}{seconds:8.2f} s{cpu_seconds:8.2f} s{megabytes:9.2f} MB{document:9.2f} MB{reading:8.2f} s")
    return cpu_seconds <= MOST_SECONDS and megabytes <= MOST_MEGABYTES


def main() -> int:
    """Print a row for each kind of session; the exit code is 1 if one is too slow or too large."""
    print(f"{f'{CASES} cases':<36}{'wall':>10}{'CPU':>10}{'page':>12}{'report':>12}{'read':>10}")
    good = [
        measure("every guard, tiny images", session),
        measure("images of 64 x 64, failed", lambda folder: only_images(folder, 64, ssim=0.6)),
        measure("images of 512 x 512, passed", lambda folder: only_images(folder, 512, ssim=1.0)),
        measure("images of 512 x 512, failed", lambda folder: only_images(folder, 512, ssim=0.6)),
        measure("images of 1024 x 1024, failed", lambda folder: only_images(folder, 1024, ssim=0.6)),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
