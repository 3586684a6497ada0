"""Values of spiking networks and of programs for spiking cores. Describes, never computes."""
