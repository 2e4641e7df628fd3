"""Named pipelines at two scales, and functions that work on any diffusers pipeline."""
