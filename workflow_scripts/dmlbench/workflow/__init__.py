"""What ran where: provenance, records, states of jobs, Slurm. Imports no torch."""
