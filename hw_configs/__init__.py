"""Chip descriptions as YAML, one file per published or generic chip; the citation stands on top of each."""
