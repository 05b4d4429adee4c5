"""Finished runs → what they scored: numbers of one run, pairs of heads, times, lags."""
