"""Guard the optimizations of diffusion pipelines with pytest."""

from pytest_diffopt._version import __version__

__all__ = ["__version__"]
