"""Measurements of a running pipeline; each probe returns a record."""
