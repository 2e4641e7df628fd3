"""`python -m pytest_diffopt profile`: its tables, its JSON and its errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.pipelines.registry import known_pipelines

# diffusers imports torchao, whose docstrings contain invalid escapes; torch's `__array__` lacks numpy 2's copy keyword.
pytestmark = [
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
OWN = "tests.examples.own_pipelines"
GPUS = (
    "nvidia-v100, nvidia-t4, nvidia-a100, nvidia-a10, nvidia-rtx-3090, nvidia-rtx-4090, nvidia-rtx-5090, nvidia-l4, "
    "nvidia-l40s, nvidia-h100, nvidia-h200, nvidia-b200"
)


def profile(*arguments: str) -> int:
    """Run the command in this process, and return its exit code."""
    try:
        return main(["profile", *arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)


def test_tiny_sdxl(capsys: pytest.CaptureFixture[str]) -> None:
    """A registered pipeline uses bf16, every phase is shown, and stderr is empty without a terminal."""
    assert profile("sdxl", "--steps", "2", "--gpu", "nvidia-t4") == 0

    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == (
        "sdxl (tiny, trained, shipped with pytest-diffopt), recipe bf16, "
        "num_inference_steps=2, height=64, width=64, guidance_scale=2.5"
    )
    assert lines[1].startswith("on a simulated nvidia-t4: 8.1 TFLOP/s for bfloat16, 320 GB/s, 15.8 GB; ")
    assert [line.split("  ")[0] for line in lines[4:10]] == [
        "encode",
        "step 1",
        "step 2",
        "all 2 steps",
        "decode",
        "total",
    ]
    assert "memory at the peak, by the line that allocated it:" in lines
    assert "host-device synchronizations:" in lines
    assert "attention kernels:" in lines
    assert captured.err == ""


def test_json_is_the_same_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts are exact: two runs print the same text, and it is only JSON."""
    texts = []
    for _ in range(2):
        assert profile(f"{OWN}:build_with_inputs", "--json") == 0
        texts.append(capsys.readouterr().out)
    written: dict[str, Any] = json.loads(texts[0])

    assert texts[0] == texts[1]
    assert set(written) == {
        "schema_version",
        "pipeline",
        "origin",
        "recipe",
        "inputs",
        "gpu_model",
        "weights_bytes",
        "encode",
        "steps",
        "decode",
        "total",
        "peak_memory_bytes",
        "peak_holders",
        "unmodelled",
        "placeholders",
    }
    assert (len(written["steps"]), written["pipeline"], written["recipe"]) == (5, "OwnPipeline", "")


def test_own_pipeline_is_called_by_its_signature(capsys: pytest.CaptureFixture[str]) -> None:
    """A function may return only a pipeline: it is called with a prompt and the given number of steps."""
    assert profile(f"{OWN}:build", "--steps", "4") == 0
    assert "all 4 steps" in capsys.readouterr().out


def test_saved_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder written by `save_pretrained` is profiled without a recipe."""
    import diffusers  # noqa: PLC0415 - slow to import

    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=4,
        layers_per_block=1,
    )
    pipeline = diffusers.DDIMPipeline(unet=unet, scheduler=diffusers.DDIMScheduler())
    pipeline.save_pretrained(tmp_path / "saved")

    assert profile(str(tmp_path / "saved"), "--steps", "2", "--json") == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["pipeline"], len(written["steps"])) == ("DDIMPipeline", 2)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["sdlx"], "error: unknown pipeline: 'sdlx' (did you mean 'sdxl'?); known: " + ", ".join(known_pipelines())),
        (["./nowhere"], "error: no such folder: ./nowhere"),
        (
            ["tests"],
            "error: tests is not a pipeline folder: it has no model_index.json, which save_pretrained() writes",
        ),
        (
            ["sdxl", "--gpu", "nvidia-h300"],
            f"error: a simulated GPU must be one of {GPUS}, got: 'nvidia-h300'",
        ),
        (
            ["no_such_module:build"],
            (
                "error: no_such_module:build: the module 'no_such_module' cannot be imported: "
                "ModuleNotFoundError: No module named 'no_such_module'"
            ),
        ),
        (
            [f"{OWN}:biuld"],
            f"error: {OWN}:biuld: the module '{OWN}' has no function 'biuld' (did you mean 'build'?)",
        ),
        ([f"{OWN}:build_raising"], f"error: {OWN}:build_raising raised RuntimeError: the weights are gone"),
        (
            [f"{OWN}:build_nothing"],
            f"error: {OWN}:build_nothing must return a pipeline, or a pipeline and its inputs, got: int",
        ),
        (
            [f"{OWN}:build_without_loop"],
            "error: no denoise loop: Linear has no progress_bar method and no scheduler, "
            "through which the loop is found",
        ),
        (
            [f"{OWN}:build_failing"],
            "error: OwnPipeline failed when called with prompt: ValueError: no such thing",
        ),
        (
            [f"{OWN}:build", "--height", "64"],
            "error: --height needs a pipeline with the argument height, which OwnPipeline lacks",
        ),
        (
            ["sdxl", "--width", "65"],
            "error: --width must be a multiple of 4, the VAE's factor, got: 65 (nearest: 64 and 68)",
        ),
        (
            ["sdxl", "--recipe", "bf16 + fp16"],
            "error: bf16 and fp16 contradict each other (a pipeline has one precision), got: bf16 + fp16",
        ),
        (
            ["sdxl", "--steps", "0"],
            "python -m pytest_diffopt profile: error: argument --steps: must be a whole number of at least 1, got: 0",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An error is one line on stderr and exit code 2, never a traceback."""
    assert profile(*arguments) == 2

    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == error
    assert captured.out == ""


def test_help_needs_no_torch() -> None:
    """The arguments are parsed before torch is imported."""
    code = "import sys, pytest_diffopt.__main__; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_full_size_sdxl(capsys: pytest.CaptureFixture[str]) -> None:
    """The published architecture, with a UNet of 2.57 billion parameters, is counted without weights."""
    assert profile("sdxl", "--scale", "full", "--steps", "1", "--json") == 0

    written = json.loads(capsys.readouterr().out)
    (step,) = written["steps"]
    assert step["flops"] == 13_522_472_796_160  # batch size 2: with the prompt and without
    assert step["syncs"] == []
    assert 6.9e9 < written["weights_bytes"] < 7e9
    assert written["weights_bytes"] < written["peak_memory_bytes"] < 10e9


def test_full_size_flux(capsys: pytest.CaptureFixture[str]) -> None:
    """A function that builds FLUX.1-dev's published architecture on the meta device is profiled."""
    assert profile("tests.examples.flux_without_weights:build", "--steps", "1", "--json") == 0

    written = json.loads(capsys.readouterr().out)
    assert (written["pipeline"], len(written["steps"])) == ("FluxPipeline", 1)
    assert 33e9 < written["weights_bytes"] < 35e9
