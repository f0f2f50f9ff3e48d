#!/usr/bin/env python
"""Train one run of a config: weights, history.csv and run.json."""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config


def main(args) -> None:
    """Train ``args.run`` and write everything at the end, ``run.json`` last."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    # Imported only now: a mistake in the config is told at once.
    from dmlbench.data.dataset import get_dataset
    from dmlbench.data.store import ImageStore
    from dmlbench.training.artefacts import save_run
    from dmlbench.training.loop import Trainer

    spec = plan.spec(run)
    store = ImageStore(args.index, args.pixels)
    trained = Trainer(spec, get_dataset(run.dataset), store).train()
    save_run(args.out, spec, plan.fingerprint(run), trained)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config file")
    parser.add_argument("--run", required=True, help="dataset/recipe/loss/sampler/seedN")
    parser.add_argument("--index", type=Path, required=True, help="prepared index")
    parser.add_argument("--pixels", type=Path, required=True, help="prepared pixel store")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    cli.run(main, parser)
