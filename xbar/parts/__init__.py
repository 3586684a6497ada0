"""Hardware parts: one family per folder, one model per file, each with its parameters, its cost and its source."""
