"""Word-line drivers: what sends the input pulses."""
