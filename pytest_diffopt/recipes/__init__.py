"""Recipes: ordered stacks of optimizations, applied to a pipeline and verified in it."""
