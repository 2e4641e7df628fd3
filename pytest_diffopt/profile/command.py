"""The command line of `python -m pytest_diffopt profile`; torch is imported only after the arguments are parsed."""

import argparse
import os
import sys
from typing import Any

from pytest_diffopt.arguments import whole_number
from pytest_diffopt.null_gpu.launching import restart
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.profile.request import DEFAULT_GPU_MODEL, ProfiledDevice, ProfileRequest

_DESCRIPTION = """
Run a pipeline once on a simulated GPU and print the counts of each phase of the call: FLOPs, operations, bytes over the
bus, peak memory and the lines that hold it, each host-device synchronization, the attention kernels that CUDA would
choose, and the roofline. With --device null, run it on the null GPU and print what each phase launches, and the host
time.
"""
_DEFAULT_TOP = 8


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to the package's commands."""
    parser = commands.add_parser("profile", help="count the work of each phase of a pipeline", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument(
        "target",
        help="a registered pipeline (sdxl), a folder written by save_pretrained(), or a module:function that returns a"
        " pipeline, or a pipeline and its inputs",
    )
    parser.add_argument(
        "--scale", choices=[*map(str, Scale)], default=str(Scale.TINY), help="size of the pipeline (default: tiny)"
    )
    parser.add_argument(
        "--device",
        choices=[*map(str, ProfiledDevice)],
        default=str(ProfiledDevice.SIMULATED),
        help="the simulated GPU, or the null GPU, which needs a CUDA build of torch (default: %(default)s)",
    )
    parser.add_argument("--gpu", default=DEFAULT_GPU_MODEL, help="the GPU that it stands in for (default: %(default)s)")
    parser.add_argument(
        "--recipe", help='optimizations: "bf16 + channels_last" (default: bf16 for a registered pipeline, else none)'
    )
    for option, unit in (("steps", "denoise steps"), ("height", "pixels"), ("width", "pixels"), ("batch", "images")):
        parser.add_argument(f"--{option}", type=whole_number, metavar="N", help=f"{unit} (default: the pipeline's)")
    parser.add_argument(
        "--top", type=whole_number, default=_DEFAULT_TOP, metavar="N", help="lines of each list (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> None:
    """Profile the pipeline and print the report.

    Raises:
        DiffoptError: the GPU or the pipeline is unknown, or the call failed.
    """
    request = ProfileRequest(
        target=options.target,
        scale=Scale(options.scale),
        device=ProfiledDevice(options.device),
        gpu_model=options.gpu,
        recipe=options.recipe,
        num_steps=options.steps,
        height=options.height,
        width=options.width,
        batch=options.batch,
    )
    shows_progress = sys.stderr.isatty() and not options.json
    if ":" not in request.target:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded, and connecting to the Hub takes seconds
    if request.device is ProfiledDevice.NULL:
        restart(request.gpu_model)  # torch must be imported after the library: this process starts again
    if shows_progress:
        sys.stderr.write(f"building {request.target} ...\n")
    # Imported here: it loads torch, which --help does not need, and huggingface_hub, which reads HF_HUB_OFFLINE then.
    from pytest_diffopt.profile.report import write_report  # noqa: PLC0415

    write_report(request, top=options.top, as_json=options.json, shows_progress=shows_progress)
