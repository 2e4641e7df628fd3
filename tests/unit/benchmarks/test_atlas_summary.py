"""Test the summary of the atlas: its headline, the worst loops, their fixes, and the folder of the documentation."""

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest

from benchmarks.atlas.difference import read_atlas
from benchmarks.atlas.entries import Break, Place, SyncLine, json_schema
from benchmarks.atlas.graph_breaks import breaking_lines
from benchmarks.atlas.graph_breaks import fix_of as fix_of_break
from benchmarks.atlas.headline import shares
from benchmarks.atlas.page import page
from benchmarks.atlas.pages import main
from benchmarks.atlas.summary import readme_sentence, summary
from benchmarks.atlas.worst import fix_of, worst
from tests.unit.benchmarks.atlas_examples import BAD, GOOD, NOT_BUILT, OTHER, SIGMA_READ, SYNC, SYNCING_LOOP, atlas
from tools.browser import content_after_scripts
from tools.site_without_network import fetched_from_elsewhere

DOCS = Path(__file__).parents[3] / "docs" / "atlas"
SCHEDULER = msgspec.structs.replace(SIGMA_READ, file="diffusers/schedulers/scheduling_pndm.py", function="step")
THREE = msgspec.structs.replace(SYNC, per_step=(3, 3, 3))
SLOW_LOOP = msgspec.structs.replace(
    SYNCING_LOOP, syncs=(msgspec.structs.replace(SYNC, where=SCHEDULER, per_step=(4, 1, 1)), THREE)
)


def test_the_headline_counts_what_is_known() -> None:
    """A pipeline whose loop is unknown is none of the loops."""
    assert list(map(str, shares(atlas(GOOD, BAD, OTHER, NOT_BUILT)))) == [
        "3 of 4 pipelines of diffusers' fast tests were measured",
        "1 of 2 denoise loops synchronize the CPU with the GPU in later steps",
        "0 of 2 denoise loops do so in the first step alone",
        "1 of 3 denoisers do not compile to one graph",
        "1 of 3 denoisers recompile in the first call, or in another one of the same size",
        "1 of 3 denoisers have repeated blocks that fail with `fullgraph=True`",
        "1 of 3 pipelines keep memory between calls",
    ]


def test_an_atlas_that_is_not_complete_does_not_claim_all_pipelines() -> None:
    """The total is what was tried."""
    unfinished = msgspec.structs.replace(atlas(GOOD, NOT_BUILT), left=("wan",))

    assert str(shares(unfinished)[0]) == "1 of 2 pipelines of the tests tried so far were measured"


def test_a_sync_in_the_first_step_alone_is_counted_apart() -> None:
    """It costs once a call, and not in each step."""
    first = msgspec.structs.replace(SYNCING_LOOP, syncs=(msgspec.structs.replace(SYNC, per_step=(1, 0, 0)),))

    _measured, later, alone, *_ = shares(atlas(msgspec.structs.replace(GOOD, loop=first)))

    assert (later.count, alone.count) == (0, 1)


def test_pipelines_with_the_same_scheduler_are_one_problem() -> None:
    """The scheduler's line is fixed once; the most syncs come first."""
    slow = msgspec.structs.replace(BAD, loop=SLOW_LOOP, case="a::Tests")
    also_slow = msgspec.structs.replace(slow, case="b::Tests")

    first, second = worst([BAD, GOOD, OTHER, slow, also_slow], 10)

    assert (first.syncs_per_step, first.entries, first.line.where) == (4, (slow, also_slow), SCHEDULER)
    assert (second.syncs_per_step, second.entries) == (1, (BAD,))
    assert worst([BAD, slow], 1) == [worst([BAD, slow], 2)[0]]


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        pytest.param("a = self.alphas_cumprod[timestep]", "read by the host", "Keep `alphas_cumprod` on", id="source"),
        pytest.param("x = y.cpu()", "copy to the host", "Copy the tensor once after the loop.", id="kind"),
        pytest.param("torch.cuda.synchronize()", "explicit synchronization", "Remove the call", id="explicit"),
    ],
)
def test_a_fix_is_known_for_the_source_or_the_kind(source: str, kind: str, expected: str) -> None:
    """Every kind of the simulated GPU has one."""
    where = Place(file="a.py", line=1, function="f", source=source)

    assert fix_of(SyncLine(where=where, operation="x", kind=kind, per_step=(1, 1))).startswith(expected)


def test_a_line_that_breaks_the_graphs_of_several_pipelines_is_listed_once() -> None:
    """With Dynamo's reason, and what to change."""
    also_broken = msgspec.structs.replace(BAD, case="b::Tests")

    (line,) = breaking_lines([BAD, GOOD, also_broken, OTHER])

    assert (line.entries, line.line) == ((BAD, also_broken), BAD.denoisers[0].breaks[0] if BAD.denoisers else None)
    assert line.fix == "Move what Dynamo names out of the denoiser's `forward`."
    known = msgspec.structs.replace(SIGMA_READ, source="lengths = mask.sum(dim=1).tolist()")
    assert fix_of_break(Break(where=known, reason="x")).startswith("Compute the lengths before the denoiser is called")


def test_the_summary_links_to_the_table() -> None:
    """The worst loops, with their line and fix; foreign text does not become HTML."""
    strange = msgspec.structs.replace(NOT_BUILT, reason="OSError: <script> is `offline`")

    text = summary(atlas(BAD, strange))

    assert f"| 1 | [WanPipeline](table.html#WanPipeline) | `{SIGMA_READ}`<br>`{SIGMA_READ.source}` |" in text
    assert "- `old/test_old`: not built: OSError: &lt;script&gt; is 'offline'" in text
    assert "not complete" not in text


def test_an_incomplete_atlas_is_marked() -> None:
    """The folders that were not measured are named."""
    expected = "**This atlas is not complete.** Folders of tests that are not measured yet: flux, wan."

    assert expected in summary(atlas(GOOD, left=("flux", "wan")))


def test_the_folder_has_the_figures_and_their_schema(tmp_path: Path) -> None:
    """The figures are valid, and are read again as they were."""
    file = tmp_path / "atlas.json"
    file.write_bytes(msgspec.json.encode(atlas(BAD, OTHER, NOT_BUILT)))

    assert main([str(file), "--out", str(tmp_path / "out")]) == 0

    written = tmp_path / "out" / "atlas.json"
    jsonschema.validate(json.loads(written.read_bytes()), json.loads((tmp_path / "out" / "schema.json").read_bytes()))
    assert read_atlas(written) == atlas(BAD, OTHER, NOT_BUILT)


def test_the_schema_refuses_a_figure_of_another_type() -> None:
    """A string is no number of steps."""
    figures = json.loads(msgspec.json.encode(atlas(BAD)))
    figures["entries"][0]["loop"]["num_steps"] = "three"

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(figures, json.loads(json_schema()))


def test_the_headline_of_a_page_is_written_again(tmp_path: Path) -> None:
    """The rest of the page stays."""
    file, readme = tmp_path / "atlas.json", tmp_path / "README.md"
    file.write_bytes(msgspec.json.encode(atlas(BAD, left=("flux",))))
    readme.write_text("a\n<!-- written by make atlas: begin -->\nold\n<!-- written by make atlas: end -->\nb\n")

    main([str(file), "--out", str(tmp_path / "out"), "--readme", str(readme)])

    assert readme.read_text() == (
        "a\n<!-- written by make atlas: begin -->\n"
        "[The atlas of diffusers 0.42.1](docs/atlas/index.md) (`make atlas`; 1 pipelines, folders of tests "
        "left: 1): 1 of 1\ndenoise loops synchronize the CPU with the GPU in later steps, 0 more in the first step.\n"
        "<!-- written by make atlas: end -->\nb\n"
    )


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    """Nothing is written at a place that was not marked."""
    file, readme = tmp_path / "atlas.json", tmp_path / "README.md"
    file.write_bytes(msgspec.json.encode(atlas(BAD)))
    readme.write_text("a\n")

    with pytest.raises(SystemExit, match=r"README\.md must have the lines <!-- written by make atlas: begin --> and"):
        main([str(file), "--out", str(tmp_path / "out"), "--readme", str(readme)])


def test_the_documentation_shows_its_figures() -> None:
    """docs/atlas and the README are what `make atlas` wrote from its figures."""
    figures = read_atlas(DOCS / "atlas.json")

    assert (DOCS / "index.md").read_text(encoding="utf-8") == summary(figures)
    assert (DOCS / "table.html").read_text(encoding="utf-8") == page(figures)
    assert (DOCS / "schema.json").read_bytes() == json_schema()
    assert readme_sentence(figures) in (DOCS.parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.needs("browser")
def test_the_table_of_the_documentation_opens_in_a_browser() -> None:
    """Its script counts the rows, each of which links to a section; nothing is fetched."""
    text = content_after_scripts(DOCS / "table.html")

    links = re.findall(r'<td><a href="#([^"]+)">', text)
    assert f'<span id="shown">{len(links)} of {len(links)}</span>' in text
    assert set(links) == set(re.findall(r'<section id="([^"]+)">', text))
    assert fetched_from_elsewhere(text) == []
