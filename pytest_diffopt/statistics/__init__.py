"""Intervals, sequential tests, robust ratios and resampling: pure functions of samples."""
