"""Builds the pipeline of a request, profiles one call and writes the report to stdout."""

import sys
from typing import Any

import diffusers
import transformers

from pytest_diffopt.printable import printable_line
from pytest_diffopt.profile import document, table
from pytest_diffopt.profile.phases import PipelineProfile, profile_call
from pytest_diffopt.profile.request import ProfiledDevice, ProfileRequest
from pytest_diffopt.profile.target import Target, find_target
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model


def write_report(request: ProfileRequest, *, top: int, as_json: bool, shows_progress: bool) -> None:
    """Profile one call of a pipeline and print the report.

    Args:
        request: the pipeline, the GPU and the call.
        top: the number of lines of each list.
        as_json: print JSON instead of tables.
        shows_progress: show the pipeline's progress bar on stderr.

    Raises:
        DiffoptError: the GPU or the pipeline is unknown, or the call failed.
    """
    _silence_libraries()
    if request.device is ProfiledDevice.NULL:
        _write(_report_of_null_gpu(request, top=top, as_json=as_json, shows_progress=shows_progress))
        return
    gpu_model(request.gpu_model)  # raises for an unknown GPU before anything is built
    target = find_target(request)
    _set_progress_bar(target.pipeline, is_shown=shows_progress)
    profile = profile_call(target.pipeline, target.inputs, gpu_model=request.gpu_model)
    text = document.as_json(profile, target) if as_json else _table(profile, target, top)
    _write(text)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")


def _report_of_null_gpu(request: ProfileRequest, *, top: int, as_json: bool, shows_progress: bool) -> str:
    # It needs internals of those versions of torch that the null GPU supports.
    from pytest_diffopt.profile.null_gpu import profile_call_on_null_gpu  # noqa: PLC0415
    from pytest_diffopt.profile.null_table import null_json, null_lines  # noqa: PLC0415 - imports the former

    def find() -> Target:
        target = find_target(request)
        _set_progress_bar(target.pipeline, is_shown=shows_progress)
        return target

    target, profile = profile_call_on_null_gpu(find)
    if as_json:
        return null_json(profile, target)
    return "\n".join(map(printable_line, null_lines(profile, target, top=top)))


def _table(profile: PipelineProfile, target: Target, top: int) -> str:
    return "\n".join(map(printable_line, table.lines(profile, target, top=top)))


def _silence_libraries() -> None:
    """Silence warnings about image quality and CPU speed, which do not apply to a simulated call."""
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()


def _set_progress_bar(pipeline: Any, *, is_shown: bool) -> None:
    configure = getattr(pipeline, "set_progress_bar_config", None)
    if configure is not None:
        configure(disable=not is_shown, leave=False)
