"""Write an atlas as a folder of the documentation: a summary, the table of all pipelines, the figures and their schema.

python -m benchmarks.atlas.pages atlas.json --before atlas-0.41.json --out docs/atlas --readme README.md
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.atlas.difference import differences, read_atlas
from benchmarks.atlas.entries import json_schema
from benchmarks.atlas.page import page
from benchmarks.atlas.summary import readme_sentence, summary
from benchmarks.marked_section import with_section

_BEGIN = "<!-- written by make atlas: begin -->\n"
_END = "<!-- written by make atlas: end -->\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.atlas.pages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--before", type=Path, metavar="FILE", help="the atlas of the release before")
    parser.add_argument("--out", type=Path, default=Path("docs/atlas"), metavar="DIR")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="a page whose headline is written again")
    options = parser.parse_args(arguments)
    atlas = read_atlas(options.atlas)
    earlier = read_atlas(options.before) if options.before else None
    changes = differences(earlier, atlas) if earlier else []
    before = earlier.versions["diffusers"] if earlier else ""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.md").write_text(summary(atlas, changes, before=before), encoding="utf-8")
    (out / "table.html").write_text(page(atlas, changes, before=before), encoding="utf-8")
    (out / "atlas.json").write_bytes(msgspec.json.encode(atlas) + b"\n")
    (out / "schema.json").write_bytes(json_schema())
    if options.readme:
        _write_headline(options.readme, readme_sentence(atlas))
    return 0


def _write_headline(file: Path, sentence: str) -> None:
    """Replace the text between the markers.

    Raises:
        SystemExit: the page has no markers.
    """
    text = with_section(file.read_text(encoding="utf-8"), _BEGIN, _END, sentence)
    if text is None:
        message = f"--readme: {file} must have the lines {_BEGIN.strip()} and {_END.strip()}; add them where it belongs"
        raise SystemExit(message)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
