"""Converters that digitise column sums."""
