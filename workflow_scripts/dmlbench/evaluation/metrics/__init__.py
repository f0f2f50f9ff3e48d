"""One file for each metric; what is put here is found by its registered name."""
