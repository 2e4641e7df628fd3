"""What the jobs of our own workflows decide; with Python's standard library alone, so that they install nothing."""
