"""What a pipeline does on a GPU, phase by phase, for a person at a machine without one."""
