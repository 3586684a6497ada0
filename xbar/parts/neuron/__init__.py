"""Spiking neurons, one model per file."""
