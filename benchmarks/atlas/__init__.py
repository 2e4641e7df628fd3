"""What the denoise loop of each of diffusers' pipelines costs: syncs, graph breaks, recompiles, memory that stays."""
