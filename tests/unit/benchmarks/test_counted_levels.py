"""Test the counted FLOPs and allocations of SDXL's ladders, and the roofline's time for them."""

import json
from pathlib import Path

import pytest

from benchmarks.results_page import count_levels
from benchmarks.results_page.counted import CountedLevel, CountedPhase, least_seconds, read_counted
from benchmarks.results_page.reading import FiguresError
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.ladders import ladder
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model


def test_counted_levels_are_up_to_date() -> None:
    """Names and recipes equal those of the ladders; a changed level must be counted again."""
    counted = read_counted()
    levels = [level for name in ("diffusion-fast", "modern") for level in ladder(name, "sdxl", Scale.FULL, on_gpu=True)]

    assert {level.test_id for level in levels} == counted.levels.keys() | counted.not_counted.keys()
    for level in levels:
        if level.test_id in counted.levels:
            assert counted.levels[level.test_id].recipe == str(parse_recipe(level.recipe))


@pytest.mark.parametrize(("recipe", "expected"), [("bf16", 3 * 2.0 + 1.0), ("bf16 + compile(fullgraph=True)", 4.0)])
def test_least_time_of_a_level(recipe: str, expected: float) -> None:
    """Each of three steps writes for 2 s and computes for 1 s; compiled code is bounded only by computing."""
    its_gpu = gpu_model("nvidia-a100")
    flops = int(its_gpu.bfloat16_tflops * 1e12)
    written_bytes = int(2 * its_gpu.gigabytes_per_s * 1e9)
    level = CountedLevel(
        recipe=recipe,
        dtypes=("bfloat16",),
        phases=(
            CountedPhase(name="steps", times=3, flops=flops, allocated_bytes=written_bytes),
            CountedPhase(name="decode", times=1, flops=flops, allocated_bytes=0),
        ),
        unmodelled=(),
    )

    assert least_seconds(level, its_gpu) == pytest.approx(expected)


def test_unknown_dtype_is_refused(tmp_path: Path) -> None:
    """The message has the file, the key and the value."""
    file = tmp_path / "counted.json"
    phase = {"name": "encode", "times": 1, "flops": 1, "allocated_bytes": 1}
    level = {"recipe": "bf16", "dtypes": ["bf"], "unmodelled": [], "phases": [phase]}
    content = {"setting": "sdxl", "versions": {}, "not_counted": {}, "rungs": {"first": level}}
    file.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        read_counted(file)

    assert str(error.value) == (f"{file} is invalid: rungs.first.dtypes: must be names of torch's dtypes, got: bf")


def test_levels_are_counted_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal steps are merged, and a level that cannot be built without a GPU has the reason."""
    levels = ladder("modern", "sdxl", Scale.TINY, on_gpu=True)
    monkeypatch.setattr(count_levels, "_LADDERS", ("modern",))
    monkeypatch.setattr(count_levels, "ladder", lambda *_args, **_options: (levels[0], levels[-1]))
    file = tmp_path / "counted.json"

    assert count_levels.main(["--json", str(file), "--scale", "tiny", "--steps", "3"]) == 0
    counted = read_counted(file)
    assert counted.setting == "sdxl, tiny, 3 steps"
    assert list(counted.levels) == ["modern-1-bf16"]
    assert [(phase.name, phase.times) for phase in counted.levels["modern-1-bf16"].phases] == [
        ("encode", 1),
        ("step 1 to step 3", 3),
        ("decode", 1),
    ]
    assert counted.levels["modern-1-bf16"].dtypes == ("bfloat16",)
    assert counted.not_counted["modern-4-fp8"].startswith("fp8_dynamic needs a GPU of compute capability 8.9 or newer")
