"""Snakemake as its command line starts it, but asking Slurm for states once a second.

The plugin waits 40 s before it first asks, and 10 s longer each time that nothing has happened:
right for a cluster, and minutes too slow for a test.
"""

import os
import sys

import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main

plugin.Executor.next_seconds_between_status_checks = property(
    lambda self: 1.0, lambda self, _: None
)
sys.path[0] = os.getcwd()  # as with python -m
main(sys.argv[1:])
