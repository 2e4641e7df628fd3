"""The null GPU: torch's own CUDA code on a machine without a GPU.

A shared library, built at first use, stands in for the CUDA libraries under an unchanged CUDA build of torch. Kernels
compute nothing and are counted by name; memory is reserved and not touched; streams, events and graphs keep CUDA's
rules. It is preloaded: `launching.environment()` is what a process needs to start with, `python -m
pytest_diffopt.null_gpu -- COMMAND` runs any command under it.
"""
