# Slurm: asking whether the cluster can do what the rules ask for.


localrules:
    preflight,


rule preflight:
    message:
        "ready: the cluster can do what the rules ask for"
