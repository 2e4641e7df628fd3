"""A comment on a pull request, which later runs update."""
