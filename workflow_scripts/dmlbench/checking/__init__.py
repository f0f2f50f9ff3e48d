"""What became of every planned run, and whether results may be compared."""
