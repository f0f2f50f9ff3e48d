"""One process's part of a run: from its last checkpoint as far as it comes, and what it leaves."""

import logging
import math
import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.data.disk import disk_full_is_told, near
from dmlbench.data.folder import dataset_of
from dmlbench.data.measured_images import images_measured
from dmlbench.data.splits import index_of
from dmlbench.data.store import ImageStore
from dmlbench.errors import ConfigError
from dmlbench.files import checksum_of, replacing, write_json
from dmlbench.records import sealed
from dmlbench.training.checkpoint import GO_ON, Checkpoint
from dmlbench.training.device import memory_for, pick_device
from dmlbench.training.enough import counts
from dmlbench.training.loop import Trainer
from dmlbench.training.run_lock import RunLock
from dmlbench.training.stopping import Stopping
from dmlbench.workflow.bundles import is_finished, output_names
from dmlbench.workflow.job_records import learnt_nothing, not_moved, read_record
from dmlbench.workflow.provenance import environment, hardware, training_code, training_files

log = logging.getLogger(__name__)

_SMALLER = "take a smaller backbone, or a device with more memory"


def train_run(
    plan: Plan,
    run: Run,
    every: float | None = None,
    stopping: Stopping | None = None,
    wait: float = 90.0,
) -> None:
    """Train ``run`` to its end, or until it is time to leave.

    Nothing is done where its outputs are there already: another process may have ended it while
    this one waited.

    Args:
        every: Seconds between two checkpoints; None takes the config's.
        stopping: Says when to leave; None only when a signal asks.
        wait: Seconds to wait for another process that trains this run.

    Raises:
        LeaveNow: It was time to, and everything is saved.
        TrainingError: It cannot go on, or another process trains it.
    """
    stopping = stopping or Stopping()
    settings, out = plan.benchmark.training, plan.run_folder(run)
    every = 60 * settings.checkpoint_minutes if every is None else every
    folder = plan.checkpoint_folder(run)
    run_lock = RunLock(folder / paths.LOCK_FILE, lost=stopping.leave)
    with stopping.listening(), ExitStack() as stack:
        with stopping.at_once():
            lock = stack.enter_context(run_lock.held(wait))
            prepared = plan.data_folder(run)
            images = stack.enter_context(near(prepared, settings.scratch))
            store = ImageStore(images, None if images == prepared else prepared)
            spec, dataset = plan.spec(run), dataset_of(plan, run.dataset)
            images_measured(plan, run, index_of(plan, run))  # before hours of training
            features = plan.features_file(run)
            with memory_for("the network", pick_device(spec["recipe"]["device"]), _SMALLER):
                trainer = Trainer(spec, dataset, store, features)
        identity = {
            "run": spec,
            "code": training_files(run.dataset, plan.sources(run)),
            "data": {"images": trainer.data, "input": trainer.reader.sha256},
            "machine": hardware(trainer.device),
        }
        checkpoint = Checkpoint(folder / paths.CHECKPOINT_FILE, identity, every, lock)
        if _is_finished(plan, run, trainer.data):
            log.info("trained already, as %s/run.json says", out)
            checkpoint.discard()
            return
        told = paths.local(paths.loggers(plan.benchmark.name), **vars(run))
        writers = make_writers(settings.loggers, told)

        def epoch_ended(history: list[dict]) -> None:
            lock.check()
            with disk_full_is_told(out, GO_ON):
                write_history(out, history)
            for write in writers:
                write(history[-1])

        # A history that grows and new weights must not lie beside the record of an older training.
        (out / "run.json").unlink(missing_ok=True)
        trainer.train(checkpoint, stopping, epoch_ended)
        why = learnt_nothing(trainer.progress.history) or not_moved(trainer.moved())
        if why:
            log.warning("this training taught nothing: %s; no table takes it", why)
        lock.check()
        with disk_full_is_told(out, GO_ON):
            save_run(out, plan, run, trainer)
        checkpoint.discard()


def _is_finished(plan: Plan, run: Run, data: str) -> bool:
    """Whether all outputs of this training are there, by their own record and on these data."""
    if not is_finished(plan, run):
        return False
    return read_record(plan.run_folder(run), plan.fingerprint(run))["data"] == data


def save_run(out: Path, plan: Plan, run: Run, trainer: Trainer) -> None:
    """Write weights, history and, last, ``run.json``: a folder without it is not finished."""
    selections, reader = trainer.progress.selections, trainer.reader
    for name, weights in selections.weights.items():
        with replacing(out / paths.model(name)) as temporary:
            temporary.write_bytes(save(weights))  # save_file does not say that a disk is full
    write_history(out, trainer.progress.history)
    names = output_names(selections.weights)
    record = {
        "run": plan.spec(run),
        "fingerprint": plan.fingerprint(run),
        "code": training_code(run.dataset, plan.sources(run)),
        "files": training_files(run.dataset, plan.sources(run)),
        "outputs": {name: checksum_of(out / name) for name in names},
        "data": trainer.data,
        "images": counts(trainer.images, trainer.recipe["epochs"]),
        "selected_epochs": selections.epochs,
        "input": reader.input,
        "initial_weights": trainer.initial_weights,
        "moved": trainer.moved(),
        "device": str(trainer.device),
        "gpu": hardware(trainer.device)["gpu"],
        "seconds": sum(row["seconds"] for row in trainer.progress.history),
        "peak_memory_mb": peak_memory(trainer.device),
        **environment(),
    }
    write_json(out / "run.json", sealed(record))


def write_history(out: Path, history: list[dict]) -> None:
    """Write ``history.csv``: a row per epoch."""
    with replacing(out / paths.HISTORY_FILE) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)


def peak_memory(device: torch.device) -> dict[str, int | None]:
    """The most memory in MB that this process has held, and of the GPU if it has one."""
    # Linux counts in kB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    gpu = torch.cuda.max_memory_allocated(device) >> 20 if device.type == "cuda" else None
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit >> 20
    return {"host": host, "gpu": gpu}


def make_writers(names: list[str], folder: Path) -> list[Callable[[dict], None]]:
    """Write a row of the history for each of ``training.loggers``, in its own part of ``folder``.

    A ConfigError says which of them is not installed.
    """
    makers = {"tensorboard": _tensorboard, "dvclive": _dvclive}
    try:
        return [makers[name](folder / name) for name in names]
    except ImportError as error:
        raise ConfigError(
            f"training.loggers: {error.name or error} is not installed; pip install "
            "'dmlbench[loggers]', or take it out of the config"
        ) from None


def _tensorboard(folder: Path) -> Callable[[dict], None]:
    from torch.utils.tensorboard import SummaryWriter

    def write(row: dict) -> None:
        # Later epochs, which a killed process wrote, are not shown.
        with SummaryWriter(str(folder), purge_step=row["epoch"]) as file:
            for name, value in _numbers(row).items():
                file.add_scalar(name, value, row["epoch"])

    return write


def _dvclive(folder: Path) -> Callable[[dict], None]:
    from dvclive import Live

    def write(row: dict) -> None:
        # Opened anew each time: it reads from its own files how far it is.
        with Live(str(folder), resume=row["epoch"] > 1, save_dvc_exp=False, dvcyaml=None) as live:
            live.step = row["epoch"]
            for name, value in _numbers(row).items():
                live.log_metric(name, value)

    return write


def _numbers(row: dict) -> dict[str, float]:
    return {name: v for name, v in row.items() if name != "epoch" and not math.isnan(v)}
