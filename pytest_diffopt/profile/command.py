"""The command line of `python -m pytest_diffopt profile`; torch is imported only once the arguments are read."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.profile.request import DEFAULT_GPU_MODEL, ProfileRequest

if TYPE_CHECKING:
    from pytest_diffopt.profile.target import Target

_DESCRIPTION = """
Run a pipeline once on a GPU that is not there, and print what each phase of the call does: FLOPs, operations, bytes
over the bus, peak memory and who holds it, each place where the CPU would wait for the GPU, the attention kernels that
CUDA would choose, and the least time that the GPU's peaks allow.
"""
_DEFAULT_TOP = 8


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to those that the package knows."""
    parser = commands.add_parser("profile", help="count what a pipeline does, phase by phase", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument(
        "target",
        help="a registered pipeline (sdxl), a folder that save_pretrained() wrote, or module:function that returns a"
        " pipeline, or a pipeline and its inputs",
    )
    parser.add_argument(
        "--scale", choices=[*map(str, Scale)], default=str(Scale.TINY), help="how large (default: tiny)"
    )
    parser.add_argument("--gpu", default=DEFAULT_GPU_MODEL, help="the GPU to simulate (default: %(default)s)")
    parser.add_argument(
        "--recipe", help='optimizations, as "bf16 + channels_last" (default: bf16 for a registered pipeline, else none)'
    )
    for option, what in (("steps", "denoise steps"), ("height", "pixels"), ("width", "pixels"), ("batch", "images")):
        parser.add_argument(
            f"--{option}", type=_at_least_one, metavar="N", help=f"{what} (default: the pipeline's own)"
        )
    parser.add_argument("--top", type=_at_least_one, default=_DEFAULT_TOP, metavar="N", help="lines of each list")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> None:
    """Profile the pipeline and print the report.

    Raises:
        DiffoptError: something that was asked for cannot be done.
    """
    request = ProfileRequest(
        target=options.target,
        scale=Scale(options.scale),
        gpu_model=options.gpu,
        recipe=options.recipe,
        num_steps=options.steps,
        height=options.height,
        width=options.width,
        batch=options.batch,
    )
    shows_progress = sys.stderr.isatty() and not options.json
    if ":" not in request.target:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is needed from there, and asking takes seconds
    _say(f"building {request.target} ...", shows_progress=shows_progress)
    _report(request, top=options.top, as_json=options.json, shows_progress=shows_progress)


def _report(request: ProfileRequest, *, top: int, as_json: bool, shows_progress: bool) -> None:
    from pytest_diffopt.profile import document, phases, table  # noqa: PLC0415 - they import torch
    from pytest_diffopt.profile.target import find_target  # noqa: PLC0415 - as above
    from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model  # noqa: PLC0415 - as above

    _silence_libraries()
    gpu_model(request.gpu_model)  # refused before anything is built
    target = find_target(request)
    _set_progress(target, is_shown=shows_progress)
    profile = phases.profile_call(target.pipeline, target.inputs, gpu_model=request.gpu_model)
    text = document.as_json(profile, target) if as_json else "\n".join(table.lines(profile, target, top=top))
    sys.stdout.write(text + "\n")


def _silence_libraries() -> None:
    """Their advice is about images and about speed on a CPU; neither is made here."""
    from diffusers.utils import logging as diffusers_logging  # noqa: PLC0415 - slow to import
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415 - as above

    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()


def _set_progress(target: "Target", *, is_shown: bool) -> None:
    """Let the pipeline show its own progress bar, which is on stderr, or keep it quiet."""
    configure = getattr(target.pipeline, "set_progress_bar_config", None)
    if configure is not None:
        configure(disable=not is_shown, leave=False)


def _say(line: str, *, shows_progress: bool) -> None:
    if shows_progress:
        sys.stderr.write(line + "\n")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"must be a whole number of at least 1, got: {text}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
