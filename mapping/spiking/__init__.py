"""From spiking networks and a chip to a program for its cores: check, partition, fan out, time, place."""
