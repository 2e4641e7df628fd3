"""The options of the command line and of the ini file.

pytest imports this module at every start; what the user gave is read by `settings_reading`, once a session needs it.
"""

import pytest

from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.session.paired_worker import PAIRED_WORKER

#: Each option of the ini file with its help, and its value when the file does not have it.
_INI_TEXTS = {
    "diffopt_null_gpu": ("the GPU that the null GPU reports itself as (--diffopt-null-gpu)", ""),
    "diffopt_null_gpu_values": ("small or all (--diffopt-null-gpu-values)", ""),
    "diffopt_scale": ("tiny or full (--diffopt-scale)", "tiny"),
    "diffopt_baselines": ("the folder of baselines (--diffopt-baselines)", "baselines"),
    "diffopt_references": ("where reference images are (--diffopt-references)", ""),
    "diffopt_weights": ("a folder of saved pipelines (--diffopt-weights)", ""),
    "diffopt_report": ("where the report goes (--diffopt-report)", ""),
    "diffopt_summary": ("where the summary goes (--diffopt-summary)", ""),
    "diffopt_base": ("the branch that changes go to (--diffopt-base)", ""),
    "diffopt_require": ("the fewest verdicts of a run (--diffopt-require)", ""),
    "diffopt_inconclusive": (
        "fail or skip a test with a verdict that proves nothing (default: fail in CI, else skip)",
        "",
    ),
    "diffopt_stale_allowances": ("fail or pass an assertion that allows more than occurs (default: fail)", ""),
    "diffopt_max_seconds": ("sampling time of a latency test (--diffopt-max-seconds)", ""),
    "diffopt_margin": ("slowdown above which a test fails (--diffopt-margin)", ""),
    "diffopt_worker_timeout": ("seconds in which a worker must answer (--diffopt-worker-timeout)", ""),
}
_INI_FLAGS = {
    "diffopt_time_steps": "time each step (--diffopt-time-steps)",
    "diffopt_gpu": "use the real GPU (--diffopt-gpu)",
}


def add_options(parser: pytest.Parser) -> None:
    """Define every option, and the ini option of each that can apply to more than one run."""
    group = parser.getgroup("diffopt", "guards for the optimizations of diffusion pipelines")
    add = group.addoption
    add("--diffopt-gpu", action="store_true", help="use the real GPU(s); short: --gpu, if no other plugin defines it")
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
    for name, (text, default) in _INI_TEXTS.items():
        parser.addini(name, text, default=default)
    for name, text in _INI_FLAGS.items():
        parser.addini(name, text, type="bool", default=False)


def asks_for_diffopt(config: pytest.Config) -> bool:
    """Return whether the command line or the ini file has a value for this plugin."""
    given = (value for name, value in vars(config.option).items() if name.startswith("diffopt_"))
    return (
        any(value is not None and value is not False for value in given)
        or any(config.getini(name) for name in _INI_FLAGS)
        or any(config.getini(name) != default for name, (_help, default) in _INI_TEXTS.items())
        or config.pluginmanager.hasplugin(PAIRED_WORKER)
    )
