#!/usr/bin/env python
"""Measure the stored embeddings of one run: metrics.json."""

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.evaluation.run_metrics import measure_run
from dmlbench.files import write_json


def main(args) -> None:
    """Measure every part of the dataset that the config's splits cover."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    write_json(plan.run_folder(run) / paths.METRICS_FILE, measure_run(plan, run))


if __name__ == "__main__":
    cli.run(main, cli.run_parser(__doc__))
