"""Named pipelines at both scales, and what holds for every diffusers pipeline."""
