"""The plugin's line in pytest's header."""

from pathlib import Path

from pytest_diffopt.environment import NoGPUError, distribution_version, gpu_name
from pytest_diffopt.printable import printable_line
from pytest_diffopt.session.settings import Settings


def header_line(settings: Settings, root: Path) -> str:
    """Return device, versions, scale and baselines folder; imports torch only if a GPU was requested."""
    parts = [
        f"device {_device(settings)}",
        f"torch {distribution_version('torch')}",
        f"diffusers {distribution_version('diffusers')}",
        f"scale {settings.scale}",
        f"baselines {shown_path(settings.baselines_folder, root)}",
        f"inconclusive tests {settings.inconclusive}",
    ]
    return printable_line("diffopt: " + ", ".join(parts))


def shown_path(path: Path, root: Path) -> str:
    """Return a path relative to the project's root, or unchanged if it is outside of the root."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _device(settings: Settings) -> str:
    if not settings.use_gpu:
        return "cpu (syncs: simulated GPU)"
    try:
        return gpu_name()
    except NoGPUError:
        return "none"  # collection raises the error that explains it
