"""Test the counted FLOPs and bytes of SDXL's ladders, and the roofline's time for them."""

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


def test_least_time_of_a_level() -> None:
    """Each of three steps writes for 2 s and computes for 1 s; the decoder computes 1 s in each of two dtypes."""
    its_gpu = gpu_model("nvidia-a100")
    in_bfloat16, in_int8 = int(its_gpu.bfloat16_tflops * 1e12), int(its_gpu.int8_tops * 1e12)
    steps = CountedPhase(
        name="steps",
        times=3,
        flops=in_bfloat16,
        least_flops={"bfloat16": in_bfloat16},
        least_written_bytes=int(2 * its_gpu.gigabytes_per_s * 1e9),
    )
    decode = CountedPhase(
        name="decode",
        times=1,
        flops=in_bfloat16 + in_int8,
        least_flops={"bfloat16": in_bfloat16, "int8": in_int8},
        least_written_bytes=0,
    )

    level = CountedLevel(recipe="bf16", phases=(steps, decode), unmodelled=())
    assert least_seconds(level, its_gpu) == pytest.approx(3 * 2.0 + 2.0)


def test_int8_levels_have_int8_products() -> None:
    """Their linear layers run `_int_mm`, at the peak of int8; no other level has any, and none writes when compiled."""
    levels = read_counted().levels
    with_int8 = {name for name, level in levels.items() if any("int8" in one.least_flops for one in level.phases)}

    assert with_int8 == {name for name in levels if name.endswith("-int8")}
    assert with_int8
    denoising = [level.phases[1] for level in levels.values() if "compile(mode" in level.recipe]
    assert {phase.least_written_bytes for phase in denoising} == {0}


def test_unknown_dtype_is_refused(tmp_path: Path) -> None:
    """The message has the file, the key and the value."""
    file = tmp_path / "counted.json"
    phase = {"name": "encode", "times": 1, "flops": 1, "least_flops": {"bf": 1}, "least_written_bytes": 1}
    level = {"recipe": "bf16", "unmodelled": [], "phases": [phase]}
    content = {"setting": "sdxl", "versions": {}, "not_counted": {}, "rungs": {"first": level}}
    file.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        read_counted(file)

    assert str(error.value) == (f"{file} is invalid: rungs.first.phases: least_flops must name torch's dtypes, got: bf")


def test_levels_are_counted_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal steps are merged, and a level that cannot be built without a GPU has the reason."""
    levels = ladder("modern", "sdxl", Scale.TINY, on_gpu=True)
    monkeypatch.setattr(count_levels, "known_ladders", lambda: ("modern",))
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
    assert [*counted.levels["modern-1-bf16"].phases[1].least_flops] == ["bfloat16"]
    assert counted.not_counted["modern-4-fp8"].startswith("fp8_dynamic needs a GPU of compute capability 8.9 or newer")
