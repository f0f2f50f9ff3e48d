"""Trains a run without and with kills, in two folders; called by test_resume.

    python ten_kills.py CONFIG RUN WHOLE KILLED SEED

Prints how many kills there were, and how many trainings began from a checkpoint. Both folders hold
the prepared data. Children are forked from one process that has imported everything, so that ten of
them take seconds.
"""

import os
import random
import signal
import sys
import time
from argparse import Namespace
from pathlib import Path

import embed
import measure
import train

KILLS = 10


def trained(folder: str, options: Namespace) -> int:
    """A forked child that trains in ``folder``; returns its process number."""
    child = os.fork()
    if child:
        return child
    try:
        os.chdir(folder)
        train.main(options)
        os._exit(0)
    except BaseException as error:  # whatever it is, a child must not go on as its parent
        print(repr(error), file=sys.stderr)
        os._exit(1)


def measured(folder: str, options: Namespace) -> None:
    os.chdir(folder)
    embed.trained(options)
    measure.evaluate(options)


def main(config: str, run: str, whole: str, killed: str, seed: str) -> None:
    options = Namespace(
        config=Path(config),
        run=[run],
        checkpoint_every=0.0,
        time_budget=None,
        wait=5.0,
        pairs=None,
    )
    # Once for all children, or most kills would come before the first step. Nothing of torch that
    # takes threads may run before they are forked.
    import pytorch_metric_learning.losses  # noqa: F401
    import timm.utils  # noqa: F401
    import torch

    import dmlbench.data.reader
    import dmlbench.training.session

    dmlbench.data.reader._SMALL = 0  # so that small images are read by worker processes too

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])

    started = time.monotonic()
    assert os.waitpid(trained(whole, options), 0)[1] == 0
    seconds = time.monotonic() - started
    rng = random.Random(int(seed))
    kills = resumed = 0
    while kills < KILLS:
        resumed += any(Path(killed).rglob("checkpoint.pt"))
        child = trained(killed, options)
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        kills += os.waitpid(child, 0)[1] == signal.SIGKILL
        for record in Path(killed).rglob("run.json"):  # it came to its end; as Snakemake would
            record.unlink()
    assert os.waitpid(trained(killed, options), 0)[1] == 0
    print(kills, resumed)
    for folder in (whole, killed):
        measured(folder, options)


if __name__ == "__main__":
    main(*sys.argv[1:])
