"""Front ends: each turns what users have (a torch module, a program, a file) into a Network."""
