"""CUDA's rules: synchronization, attention kernels, layouts, autocast."""
