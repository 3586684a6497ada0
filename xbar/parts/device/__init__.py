"""What one ReRAM cell is."""
