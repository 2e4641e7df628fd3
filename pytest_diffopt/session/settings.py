"""What the user asked for, in one frozen record."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.pipelines.scale import Scale


class InconclusivePolicy(StrEnum):
    """What becomes of a test with a verdict that proves nothing."""

    FAIL = "fail"
    SKIP = "skip"


class StaleAllowancePolicy(StrEnum):
    """What becomes of an assertion with an allowance that is no longer needed."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - not a password


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the user asked for.

    Attributes:
        use_gpu: run on the real GPU, or on the null GPU.
        null_gpu: the GPU that the null GPU reports itself as (`h200`); empty without it.
        null_gpu_values: `small` or `all`: which tensors have values on the null GPU.
        scale: the scale of named pipelines whose marker gives none.
        baselines_folder: the folder of baselines.
        references: the folder or URL of reference images and latents; empty for the folder of baselines.
        weights_folder: a folder of saved pipelines, each under its name; None for the hub only.
        update: which baselines may be written.
        prune: remove baselines that no test owns any more.
        report_folder: the folder of the report; None for no report.
        summary_file: the file of the Markdown summary; None for GitHub's own summary only.
        base: the branch whose baselines those of the working tree are compared with; empty for the base of GitHub's
            pull request.
        required: the required number of verdicts of each kind, as the user wrote it; empty for none.
        inconclusive: what becomes of a test with a verdict that proves nothing.
        stale_allowances: what becomes of an assertion with an allowance that is no longer needed.
        max_seconds: the time in which one test may sample latencies.
        margin: the slowdown, as a fraction, above which a latency test fails.
        against: the git revision that latencies are compared with, in pairs; empty for the stored baselines.
        calibrate: compare the same code with itself, to measure what the paired gate detects on this machine.
        editable: the folder of the package of which `against` is a revision; None for the project itself.
        paired_max_seconds: the time in which one test may sample in pairs.
        paired_margin: the slowdown, as a fraction, above which a paired latency test fails.
        worker_timeout_seconds: the time in which a process of the paired gate must answer.
        is_paired_worker: whether this process is one of the two that the paired gate started.
        time_steps: whether each denoise step is timed too.
        explain: whether a failed image check looks for the first module that differs.
        is_verbose: whether `-v` was given.
    """

    use_gpu: bool = False
    null_gpu: str = ""
    null_gpu_values: str = "all"
    scale: Scale = Scale.TINY
    baselines_folder: Path = Path("baselines")
    references: str = ""
    weights_folder: Path | None = None
    update: WritePermission = WritePermission.NEVER
    prune: bool = False
    report_folder: Path | None = None
    summary_file: Path | None = None
    base: str = ""
    required: str = ""
    inconclusive: InconclusivePolicy = InconclusivePolicy.SKIP
    stale_allowances: StaleAllowancePolicy = StaleAllowancePolicy.FAIL
    max_seconds: float = 10.0
    margin: float = 0.05
    time_steps: bool = False
    explain: bool = False
    against: str = ""
    calibrate: bool = False
    editable: Path | None = None
    paired_max_seconds: float = 60.0
    paired_margin: float = 0.01
    worker_timeout_seconds: float = 1800.0
    is_paired_worker: bool = False
    is_verbose: bool = False

    @property
    def device_options(self) -> tuple[str, ...]:
        """Pytest's options that choose this device."""
        if self.null_gpu:
            is_default = self.null_gpu_values == default_values(self.scale)
            values = () if is_default else (f"--diffopt-null-gpu-values={self.null_gpu_values}",)
            return (f"--diffopt-null-gpu={self.null_gpu}", *values)
        return ("--diffopt-gpu",) if self.use_gpu else ()

    @property
    def may_allow_more(self) -> bool:
        """Whether an allowance that is no longer needed passes."""
        return self.stale_allowances is StaleAllowancePolicy.PASS

    @property
    def is_paired(self) -> bool:
        """Whether this process or one that it starts times tests in pairs."""
        return bool(self.against) or self.calibrate or self.is_paired_worker


def default_values(scale: Scale) -> str:
    """Return which tensors have values on the null GPU by default: computing a full-size pipeline takes hours."""
    return "all" if scale is Scale.TINY else "small"


_SETTINGS = pytest.StashKey[Settings]()


def settings_of(config: pytest.Config) -> Settings:
    """Return the settings of this session."""
    return config.stash[_SETTINGS]


def keep_settings(config: pytest.Config, settings: Settings) -> None:
    """Store the settings of this session."""
    config.stash[_SETTINGS] = settings
