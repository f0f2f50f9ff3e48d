"""What ran where: provenance, records, states of jobs, Slurm and DVC. Imports no torch."""
