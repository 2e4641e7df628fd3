"""The ladders of the null GPU: read from reports, kept in a file, and shown on the page of results."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from benchmarks.results_page import null_gpu_ladders
from benchmarks.results_page.null_gpu_ladders import read_counted_ladders, section_lines
from pytest_diffopt.recipes.ladders import ladder
from pytest_diffopt.records import Device
from pytest_diffopt.reports.json_report import prepare_folder, write_json_report
from tests.unit.reports.report_examples import ON_GPU, kernels, report, shard

VERSIONS = {"torch": "2.14.1", "triton": "3.8.0", "diffusers": "0.42.1"}


def written(folder: Path, number: int, *, device: str = "null NVIDIA H200") -> Path:
    """Write the report of a session that counted one level."""
    level = ladder("modern", "sdxl", "full", on_gpu=True)[number - 1]
    subject = replace(ON_GPU, recipe=level.recipe, device=Device.NULL_GPU)
    entry = replace(kernels(subject, gelus=30 * (2 - number)), nodeid=f"test_it.py::test_it[sdxl-{level.test_id}]")
    environment = msgspec.structs.replace(shard(device=device).environment, versions=VERSIONS)
    session = msgspec.structs.replace(shard(), environment=environment)
    prepare_folder(folder)
    write_json_report(folder, msgspec.structs.replace(report([entry]), shards=[session]))
    return folder


def test_reports_become_a_section_of_the_page(tmp_path: Path) -> None:
    """The levels of several sessions are one table, with the command and the date."""
    folders = [written(tmp_path / str(number), number) for number in (1, 2)]
    file = tmp_path / "ladders.json"
    status = null_gpu_ladders.main([*map(str, folders), "--json", str(file)])
    counted = read_counted_ladders(file)
    assert counted is not None
    lines = list(section_lines(counted))

    assert status == 0
    assert lines[0] == (
        f"Counted at full size on null NVIDIA H200 on {counted.date}, torch 2.14.1, triton 3.8.0, diffusers 0.42.1:"
    )
    assert lines[-6:] == [
        "ladder modern: sdxl (full):",
        "",
        "|  | level | launches a step | library calls | in graphs | CUDA graphs | peak memory | host a step "
        "| GPU a step, estimated | launches without an estimate | gap a step |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| 1 | bf16 | 390 | 300 | 92.3 % | 1 | 256 MiB | 41 ns | 22 ns | 0.8 % | 19 ns |",
        "| 2 | compile | 360 | 300 | 100.0 % | 1 | 256 MiB | 41 ns | 22 ns | 0.8 % | 19 ns |",
    ]


def test_host_times_of_a_busy_machine_are_left_out(tmp_path: Path) -> None:
    """A sentence explains it; what is counted and estimated stays."""
    folders = [written(tmp_path / str(number), number) for number in (1, 2)]
    file = tmp_path / "ladders.json"
    null_gpu_ladders.main([*map(str, folders), "--without-host-times", "--json", str(file)])
    lines = list(section_lines(read_counted_ladders(file)))

    assert any(line.endswith("Host times are left out: the machine was busy with other work.") for line in lines)
    assert lines[-1] == "| 2 | compile | 360 | 300 | 100.0 % | 1 | 256 MiB | 22 ns | 0.8 % |"


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (("NVIDIA H200", "NVIDIA H200"), "the ladders must be counted on the null GPU, got: NVIDIA H200"),
        (("null NVIDIA H200", "null NVIDIA L4"), "the reports must be of one device with the same versions: "),
        (("null NVIDIA H200",), "no ladder has two levels in "),
    ],
    ids=["a real GPU", "two devices", "one level"],
)
def test_other_reports_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], devices: tuple[str, ...], message: str
) -> None:
    """In one sentence, and nothing is written."""
    folders = [written(tmp_path / str(number), number, device=device) for number, device in enumerate(devices, 1)]
    file = tmp_path / "ladders.json"

    assert null_gpu_ladders.main([*map(str, folders), "--json", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"null_gpu_ladders: {message}")
    assert not file.exists()


def test_without_a_file_the_page_has_the_command(tmp_path: Path) -> None:
    """Nothing is claimed."""
    lines = list(section_lines(read_counted_ladders(tmp_path / "none.json")))

    assert lines[0] == "Not counted yet:"
    assert "$ python -m benchmarks.results_page.null_gpu_ladders report" in lines
