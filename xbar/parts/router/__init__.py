"""What moves results between tiles."""
