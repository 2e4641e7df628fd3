"""The command line and the ini file, read once into one frozen `Settings`."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.session.settings import PAIRED_WORKER, Settings, default_values


def add_options(parser: pytest.Parser) -> None:
    """Define every option except `--gpu`, and the ini option of each that can apply to more than one run."""
    group = parser.getgroup("diffopt", "guards for the optimizations of diffusion pipelines")
    add = group.addoption
    scales = [scale.value for scale in Scale]
    verbs = [verb.value for verb in WritePermission if verb is not WritePermission.NEVER]
    add("--diffopt-scale", choices=scales, help="the scale of named pipelines (default: tiny)")
    add("--diffopt-baselines", metavar="DIR", help="the folder of baselines (default: baselines/ under the root)")
    add(
        "--diffopt-references",
        metavar="URL",
        help="folder or URL of reference images (default: the folder of baselines)",
    )
    add("--diffopt-weights", metavar="DIR", help="a folder of saved pipelines, each under its name, used at full scale")
    add("--diffopt-update", choices=verbs, help="write the missing baselines, or all that this run measures")
    add("--diffopt-prune", action="store_true", help="remove baselines of the collected test files that no test owns")
    add("--diffopt-allow-ci-update", action="store_true", help="let --diffopt-update and --diffopt-prune write in CI")
    add("--diffopt-report", metavar="DIR", help="write index.html, report.json and images there")
    add("--diffopt-summary", metavar="FILE", help="write the summary there, in Markdown")
    add("--diffopt-base", metavar="REF", help="list the baselines that changed since the branch left REF")
    add("--diffopt-require", metavar="WHAT", help='fail a run with fewer verdicts, as in "gpu>=20, latency>=3"')
    add(
        "--diffopt-max-seconds",
        metavar="S",
        type=float,
        help="sampling time of a latency test in seconds (default: 10, in pairs 60)",
    )
    add(
        "--diffopt-margin",
        metavar="X",
        type=float,
        help="slowdown above which a test fails (default: 0.05, in pairs 0.01)",
    )
    add("--diffopt-against", metavar="REF", help="time each latency test together with the same test at a git revision")
    add(
        "--diffopt-editable", metavar="PATH", help="REF is a revision of the package in this folder, not of the project"
    )
    add(
        "--diffopt-worker-timeout",
        metavar="S",
        type=float,
        help="seconds in which a worker must answer (default: 1800)",
    )
    add("--diffopt-calibrate", action="store_true", help="measure what --diffopt-against detects on this machine")
    add(
        "--diffopt-null-gpu",
        nargs="?",
        const="h200",
        metavar="=NAME",
        help="run torch's own CUDA code on a stand-in for this GPU (default: h200); no GPU is needed",
    )
    add(
        "--diffopt-null-gpu-values",
        choices=["small", "all"],
        help="which tensors have values on the null GPU (default: all at tiny scale, else small)",
    )
    add("--diffopt-time-steps", action="store_true", help="time each denoise step too, in separate calls")
    add("--diffopt-explain", action="store_true", help="find the first module that differs when an image check fails")
    parser.addini("diffopt_time_steps", "time each step (--diffopt-time-steps)", type="bool", default=False)
    parser.addini("diffopt_gpu", "use the real GPU (--gpu)", type="bool", default=False)
    parser.addini("diffopt_null_gpu", "the GPU that the null GPU reports itself as (--diffopt-null-gpu)", default="")
    parser.addini("diffopt_null_gpu_values", "small or all (--diffopt-null-gpu-values)", default="")
    parser.addini("diffopt_scale", "tiny or full (--diffopt-scale)", default="tiny")
    parser.addini("diffopt_baselines", "the folder of baselines (--diffopt-baselines)", default="baselines")
    parser.addini("diffopt_references", "where reference images are (--diffopt-references)", default="")
    parser.addini("diffopt_weights", "a folder of saved pipelines (--diffopt-weights)", default="")
    parser.addini("diffopt_report", "where the report goes (--diffopt-report)", default="")
    parser.addini("diffopt_summary", "where the summary goes (--diffopt-summary)", default="")
    parser.addini("diffopt_base", "the branch that changes go to (--diffopt-base)", default="")
    parser.addini("diffopt_require", "the fewest verdicts of a run (--diffopt-require)", default="")
    parser.addini("diffopt_max_seconds", "sampling time of a latency test (--diffopt-max-seconds)", default="")
    parser.addini("diffopt_margin", "slowdown above which a test fails (--diffopt-margin)", default="")
    parser.addini(
        "diffopt_worker_timeout", "seconds in which a worker must answer (--diffopt-worker-timeout)", default=""
    )


def add_gpu_option(parser: pytest.Parser) -> None:
    """Define `--gpu`, unless another plugin or a conftest has defined it; then theirs is used."""
    _known, unknown = parser.parse_known_and_unknown_args(["--gpu"])
    if "--gpu" in unknown:
        group = parser.getgroup("diffopt")
        group.addoption("--gpu", action="store_true", default=False, help="use the real GPU(s)")


def uses_gpu(config: pytest.Config) -> bool:
    """Return whether the session runs on a GPU."""
    return bool(config.getoption("--gpu", default=False)) or bool(config.getini("diffopt_gpu"))


def null_gpu(config: pytest.Config) -> str:
    """Return the name of the null GPU that the session runs on; empty if it runs on none.

    Raises:
        pytest.UsageError: the null GPU is asked for, and this process does not run on it.
    """
    is_asked_for = bool(_text(config, "null_gpu"))
    if not is_asked_for and not (uses_gpu(config) and "DIFFOPT_NULL_GPU_DEVICE" in os.environ):
        return ""
    from pytest_diffopt.plugin.null_gpu import null_gpu_of_this_process  # noqa: PLC0415 - only on the null GPU

    return null_gpu_of_this_process(is_asked_for=is_asked_for)


def read_settings(config: pytest.Config, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; the command line takes precedence over the ini file.

    Raises:
        pytest.UsageError: a value is invalid, or a baseline would be written in CI.
    """
    update = WritePermission(config.getoption("--diffopt-update") or WritePermission.NEVER)
    prune = bool(config.getoption("--diffopt-prune"))
    _refuse_writes_in_ci(config, environment, update, prune=prune)
    baselines = _text(config, "baselines")
    defaults = Settings()
    scale, stand_in = _scale(_text(config, "scale")), null_gpu(config)
    return Settings(
        use_gpu=uses_gpu(config) or bool(stand_in),
        null_gpu=stand_in,
        null_gpu_values=_null_gpu_values(config, scale),
        scale=scale,
        baselines_folder=config.rootpath / baselines,
        references=_references(config),
        weights_folder=_folder(config, "weights"),
        update=update,
        prune=prune,
        report_folder=_folder(config, "report"),
        summary_file=_folder(config, "summary"),
        base=_text(config, "base").strip(),
        required=_text(config, "require").strip(),
        max_seconds=_positive(config, "max_seconds", default=defaults.max_seconds),
        margin=_positive(config, "margin", default=defaults.margin),
        against=str(config.getoption("--diffopt-against") or ""),
        calibrate=bool(config.getoption("--diffopt-calibrate")),
        editable=_editable(config),
        paired_max_seconds=_positive(config, "max_seconds", default=defaults.paired_max_seconds),
        paired_margin=_positive(config, "margin", default=defaults.paired_margin),
        worker_timeout_seconds=_positive(config, "worker_timeout", default=defaults.worker_timeout_seconds),
        is_paired_worker=config.pluginmanager.hasplugin(PAIRED_WORKER),
        time_steps=bool(config.getoption("--diffopt-time-steps")) or bool(config.getini("diffopt_time_steps")),
        explain=bool(config.getoption("--diffopt-explain")),
        is_verbose=config.get_verbosity() > 0,
    )


def _refuse_writes_in_ci(
    config: pytest.Config, environment: Mapping[str, str], update: WritePermission, *, prune: bool
) -> None:
    in_ci = environment.get("CI", "").lower() not in {"", "0", "false", "no"}
    if not in_ci or config.getoption("--diffopt-allow-ci-update"):
        return
    asked = "--diffopt-update" if update is not WritePermission.NEVER else "--diffopt-prune" if prune else ""
    if asked:
        msg = (
            f"{asked} would write baselines in CI, got: CI={environment['CI']}; "
            "run it on your machine and commit the result, or add --diffopt-allow-ci-update"
        )
        raise pytest.UsageError(msg)


def _text(config: pytest.Config, name: str) -> str:
    given = config.getoption("--diffopt-" + name.replace("_", "-"))
    return str(config.getini(f"diffopt_{name}") if given is None else given)


def _references(config: pytest.Config) -> str:
    text = _text(config, "references")
    return text if "://" in text else str(_folder(config, "references") or "")


def _folder(config: pytest.Config, name: str) -> Path | None:
    text = _text(config, name)
    return config.rootpath / text if text else None


def _scale(text: str) -> Scale:
    try:
        return Scale(text)
    except ValueError as error:
        msg = f"diffopt_scale must be one of {', '.join(Scale)}, got: {text!r}"
        raise pytest.UsageError(msg) from error


def _null_gpu_values(config: pytest.Config, scale: Scale) -> str:
    values = _text(config, "null_gpu_values") or default_values(scale)
    if values not in {"small", "all"}:
        msg = f"diffopt_null_gpu_values must be small or all, got: {values!r}"
        raise pytest.UsageError(msg)
    return values


def _editable(config: pytest.Config) -> Path | None:
    given = config.getoption("--diffopt-editable")
    if given and not config.getoption("--diffopt-against"):
        msg = "--diffopt-editable needs --diffopt-against: it names the package of which REF is a revision"
        raise pytest.UsageError(msg)
    return (config.invocation_params.dir / given).resolve() if given else None


def _positive(config: pytest.Config, name: str, *, default: float) -> float:
    text = _text(config, name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        msg = f"diffopt_{name} must be a positive number, got: {text!r}"
        raise pytest.UsageError(msg)
    return value
