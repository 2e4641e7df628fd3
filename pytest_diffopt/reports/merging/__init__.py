"""Merging the reports of several shards into one."""
