"""Training for the hardware: one file per method, each usable in any training loop (see `xbar.training.base`)."""
