"""The profile command: counts of a pipeline's call on a simulated GPU, by phase."""
