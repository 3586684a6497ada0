"""Tables of rich for the command line: outcomes, chips, noise models, sweeps."""
