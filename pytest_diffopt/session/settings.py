"""What the user asked for, in one frozen record."""

from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.pipelines.scale import Scale

#: The plugin that a process of the paired gate loads.
PAIRED_WORKER = "pytest_diffopt.paired.worker"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the user asked for.

    Attributes:
        use_gpu: run on the real GPU.
        scale: how large named pipelines are built where a marker does not say.
        baselines_folder: where baselines are.
        references: the folder or URL of reference images and latents; empty for that of the baselines.
        weights_folder: where saved pipelines are, each under its name; None for the hub alone.
        update: which baselines may be written.
        prune: remove baselines that no test owns any more.
        report_folder: where the report goes; None for no report.
        summary_file: where the summary in Markdown goes; None for none but GitHub's own.
        base: the branch that the change will go to, with whose baselines those of the working tree are compared; empty
            for none but that of GitHub's pull request.
        required: how many verdicts of which kind there must be, as the user wrote it; empty for any.
        max_seconds: how long one case may sample latencies.
        margin: the slowdown, as a fraction, that is worth failing for.
        against: the git revision that latencies are compared with, in pairs; empty for the stored baselines.
        calibrate: compare the same code with itself, to learn what the paired gate can see on this machine.
        editable: the folder of the package of which `against` is a revision; None for the project itself.
        paired_max_seconds: how long one case may sample in pairs.
        paired_margin: the slowdown that is worth failing for, where it is measured in pairs.
        worker_timeout_seconds: how long a process of the paired gate may take for one answer.
        is_paired_worker: this process is one of the two that the paired gate started.
        time_steps: time each denoise step too.
        explain: look for the module where images part.
        is_verbose: `-v` was given: tell more.
    """

    use_gpu: bool = False
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
    def is_paired(self) -> bool:
        """Whether this process or one that it starts times tests in pairs."""
        return bool(self.against) or self.calibrate or self.is_paired_worker
