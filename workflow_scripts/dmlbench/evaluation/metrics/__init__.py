"""One file for each family of metrics; what is put here is found by its registered names."""
