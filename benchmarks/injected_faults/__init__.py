"""Realistic bugs, planted into living pipelines, and which of our guards sees each of them."""
