"""Measure how many pipelines of diffusers' own tests run on the simulated GPU, with the CPU as the reference."""
