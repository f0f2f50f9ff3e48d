"""Slurm: what is asked of it before, while and after Snakemake gives it jobs."""
