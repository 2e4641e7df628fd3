"""Realistic bugs, injected into living pipelines, and which of our guards sees each of them."""
