"""Buffers and registers."""
