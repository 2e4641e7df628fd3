"""Reports of several shards, one report."""
