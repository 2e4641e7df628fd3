"""Training of the tiny pipelines."""
