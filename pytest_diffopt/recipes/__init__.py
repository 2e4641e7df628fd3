"""Recipes: ordered stacks of optimizations that are applied to a pipeline and then verified."""
