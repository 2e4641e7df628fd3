"""Watch one thing while a pipeline runs, and yield a record of it."""
