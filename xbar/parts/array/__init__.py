"""Crossbars of cells: size, read time, and what a read costs."""
