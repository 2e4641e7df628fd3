"""Values of what runs on the null GPU, computed by the CPU's kernels on the same memory."""

# Before any module here: once torch is imported, the command `null-gpu` imports these modules and starts the values.
import torch  # noqa: F401
