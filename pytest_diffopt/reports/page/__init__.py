"""`index.html`: the report that people look at, one file that needs nothing else."""
