"""Measure how often each timing rule reports unchanged code as slower, and how often it detects a real slowdown."""
