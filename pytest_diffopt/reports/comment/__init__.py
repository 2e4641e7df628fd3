"""One comment on a pull request, updated and not repeated."""
