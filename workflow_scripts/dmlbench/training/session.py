"""One process's part of a run: from its last checkpoint as far as it comes."""

from contextlib import ExitStack
from pathlib import Path

from dmlbench import paths
from dmlbench.cluster.scratch import near
from dmlbench.config import Plan, Run
from dmlbench.data.folder import dataset_of
from dmlbench.data.store import ImageStore
from dmlbench.provenance import hardware, training_files
from dmlbench.training.artefacts import save_run, write_history
from dmlbench.training.checkpoint import Checkpoint
from dmlbench.training.lock import RunLock
from dmlbench.training.loop import Trainer
from dmlbench.training.stopping import LeaveNow, Stopping
from dmlbench.training.writers import make_writers

__all__ = ["LeaveNow", "train_run"]


def train_run(
    plan: Plan,
    run: Run,
    checkpoints: Path | None = None,
    every: float | None = None,
    stopping: Stopping | None = None,
    wait: float = 90.0,
) -> None:
    """Train ``run`` to its end, or until it is time to leave.

    Args:
        plan: The config.
        run: Which of its runs.
        checkpoints: Folder of the run's checkpoint and lock; None keeps them where Snakemake does.
        every: Seconds between two checkpoints; None takes the config's.
        stopping: Says when to leave; None only when a signal asks.
        wait: Seconds to wait for another process that trains this run.

    Raises:
        LeaveNow: It was time to, and everything is saved.
        TrainingError: It cannot go on, or another process trains it.
    """
    stopping = stopping or Stopping()
    folder = checkpoints or plan.checkpoint_folder(run)
    if every is None:
        every = 60 * plan.benchmark.training.checkpoint_minutes
    out = plan.run_folder(run)
    run_lock = RunLock(folder / "lock.json", lost=stopping.leave)
    with stopping.listening(), ExitStack() as stack:
        with stopping.at_once():
            lock = stack.enter_context(run_lock.held(wait))
            scratch = plan.benchmark.training.scratch
            images = stack.enter_context(near(plan.data_folder(run), scratch))
            spec, dataset = plan.spec(run), dataset_of(plan, run.dataset)
            trainer = Trainer(spec, dataset, ImageStore(images))
        identity = {
            "run": spec,
            "code": training_files(run.dataset, plan.classes(run)),
            "data": {"images": trainer.data},
            "machine": hardware(trainer.device),
        }
        loggers = plan.benchmark.training.loggers
        writers = make_writers(
            loggers, paths.local(paths.loggers(plan.benchmark.name), **vars(run))
        )

        def each_epoch(history: list[dict]) -> None:
            lock.check()
            write_history(out, history)
            for write in writers:
                write(history[-1])

        checkpoint = Checkpoint(folder / paths.CHECKPOINT_FILE, identity, every, lock)
        trained = trainer.train(checkpoint, stopping, each_epoch)
        lock.check()
        save_run(out, plan, run, trained)
        checkpoint.discard()
