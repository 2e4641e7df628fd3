"""Simulate how often the latency gates are wrong, against what they claim."""
