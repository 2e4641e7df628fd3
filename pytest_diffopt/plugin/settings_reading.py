"""The command line and the ini file, read once into one frozen `Settings`."""

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.plugin.root_folder import refuse_root_of_an_option
from pytest_diffopt.session.count_request import count_request
from pytest_diffopt.session.paired_worker import PAIRED_WORKER
from pytest_diffopt.session.second_process import second_process_test
from pytest_diffopt.session.settings import InconclusivePolicy, Settings, StaleAllowancePolicy, default_values

_Policy = TypeVar("_Policy", InconclusivePolicy, StaleAllowancePolicy)


def read_settings(config: pytest.Config, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; the command line takes precedence over the ini file.

    Raises:
        pytest.UsageError: a value is invalid, or a baseline would be written in CI.
    """
    refuse_root_of_an_option(config)
    update = WritePermission(config.getoption("--diffopt-update") or WritePermission.NEVER)
    prune = bool(config.getoption("--diffopt-prune"))
    _refuse_writes_in_ci(config, environment, update, prune=prune)
    baselines = _text(config, "baselines")
    defaults = Settings()
    scale, null_gpu = _scale(_text(config, "scale")), _null_gpu(config)
    settings = Settings(
        use_gpu=_uses_gpu(config) or bool(null_gpu),
        null_gpu=null_gpu,
        null_gpu_values=_null_gpu_values(config, default_values(scale) if null_gpu else defaults.null_gpu_values),
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
        inconclusive=_inconclusive(config, environment),
        stale_allowances=_policy(config, "diffopt_stale_allowances", defaults.stale_allowances),
        max_seconds=_positive(config, "max_seconds", default=defaults.max_seconds),
        margin=_positive(config, "margin", default=defaults.margin),
        against=_without_nul("against", config.getoption("--diffopt-against") or ""),
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
    return _without_output(settings) if second_process_test(environment) else settings


def _without_output(settings: Settings) -> Settings:
    """Return the settings of a process that makes one call for another process, which judges and reports."""
    return replace(
        settings,
        update=WritePermission.NEVER,
        prune=False,
        report_folder=None,
        summary_file=None,
        base="",
        required="",
        against="",
        calibrate=False,
    )


def _refuse_writes_in_ci(
    config: pytest.Config, environment: Mapping[str, str], update: WritePermission, *, prune: bool
) -> None:
    if not _is_ci(environment) or config.getoption("--diffopt-allow-ci-update"):
        return
    asked = "--diffopt-update" if update is not WritePermission.NEVER else "--diffopt-prune" if prune else ""
    if asked:
        msg = (
            f"{asked} would write baselines in CI, got: CI={environment['CI']}; "
            "run it on your machine and commit the result, or add --diffopt-allow-ci-update"
        )
        raise pytest.UsageError(msg)


def _is_ci(environment: Mapping[str, str]) -> bool:
    return environment.get("CI", "").lower() not in {"", "0", "false", "no"}


def _inconclusive(config: pytest.Config, environment: Mapping[str, str]) -> InconclusivePolicy:
    default = InconclusivePolicy.FAIL if _is_ci(environment) else InconclusivePolicy.SKIP
    return _policy(config, "diffopt_inconclusive", default)


def _policy(config: pytest.Config, name: str, default: _Policy) -> _Policy:
    """Return the policy that an ini option names, or the default where it is not given."""
    text = str(config.getini(name))
    try:
        return type(default)(text) if text else default
    except ValueError as error:
        msg = f"{name} must be one of {', '.join(type(default))}, got: {text!r}"
        raise pytest.UsageError(msg) from error


def _uses_gpu(config: pytest.Config) -> bool:
    if count_request() is not None:  # whatever the command line or the ini file asks for
        return False
    return bool(config.getoption("--diffopt-gpu")) or bool(config.getini("diffopt_gpu"))


def _null_gpu(config: pytest.Config) -> str:
    """Return the null GPU that the session uses: because it is asked for, or because the process runs on one."""
    is_asked_for = bool(_text(config, "null_gpu")) and count_request() is None
    if not is_asked_for and not (is_active() and _uses_gpu(config)):
        return ""
    from pytest_diffopt.plugin.null_gpu import null_gpu_of_this_process  # noqa: PLC0415 - only on the null GPU

    return null_gpu_of_this_process(is_asked_for=is_asked_for)


def _null_gpu_values(config: pytest.Config, default: str) -> str:
    values = _text(config, "null_gpu_values") or default
    if values not in {"small", "all"}:
        msg = f"diffopt_null_gpu_values must be small or all, got: {values!r}"
        raise pytest.UsageError(msg)
    return values


def _text(config: pytest.Config, name: str) -> str:
    given = config.getoption("--diffopt-" + name.replace("_", "-"))
    return _without_nul(name, str(config.getini(f"diffopt_{name}") if given is None else given))


def _without_nul(name: str, text: str) -> str:
    if "\0" in text:  # no file has such a name, and no program can be given one
        msg = f"diffopt_{name} must not contain a NUL character, got: {text!r}"
        raise pytest.UsageError(msg)
    return text


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


def _editable(config: pytest.Config) -> Path | None:
    given = _without_nul("editable", config.getoption("--diffopt-editable") or "")
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
