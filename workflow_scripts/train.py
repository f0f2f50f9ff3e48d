#!/usr/bin/env python
"""Train one run of a config: weights, history.csv and run.json."""

from dmlbench import cli
from dmlbench.config import load_config


def main(args) -> None:
    """Train ``args.run`` and write everything at the end, ``run.json`` last."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    # Imported only now: a mistake in the config is told at once.
    from dmlbench.data.folder import dataset_of
    from dmlbench.data.store import ImageStore
    from dmlbench.training.artefacts import save_run
    from dmlbench.training.loop import Trainer

    store = ImageStore(plan.data_folder(run))
    trained = Trainer(plan.spec(run), dataset_of(plan, run.dataset), store).train()
    save_run(plan.run_folder(run), plan, run, trained)


if __name__ == "__main__":
    cli.run(main, cli.run_parser(__doc__))
