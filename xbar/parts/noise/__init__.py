"""How real devices and converters depart from ideal ones: one effect per file."""
