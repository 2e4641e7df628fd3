"""How the tiny pipelines learn to draw."""
