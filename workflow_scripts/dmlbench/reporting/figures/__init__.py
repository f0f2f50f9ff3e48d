"""The figures. Which ones a config has says :mod:`.kinds`, which Snakemake imports."""
