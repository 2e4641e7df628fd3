"""What the work costs: accounting, GPUs, roofline."""
