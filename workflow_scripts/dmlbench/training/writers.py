"""Telling other programs how a training goes: TensorBoard and DVCLive."""

import math
from collections.abc import Callable
from pathlib import Path

from dmlbench.errors import ConfigError

#: Takes a row of the history.
Writer = Callable[[dict], None]


def make_writers(names: list[str], folder: Path) -> list[Writer]:
    """The writers of a config's ``training.loggers``.

    Args:
        names: ``tensorboard``, ``dvclive``.
        folder: Where each makes a folder of its own.

    Raises:
        ConfigError: Its package is not installed.
    """
    makers = {"tensorboard": _tensorboard, "dvclive": _dvclive}
    try:
        return [makers[name](folder / name) for name in names]
    except ImportError as error:
        raise ConfigError(
            f"training.loggers: {error.name or error} is not installed; pip install "
            "'dmlbench[loggers]', or take it out of the config"
        ) from None


def _tensorboard(folder: Path) -> Writer:
    from torch.utils.tensorboard import SummaryWriter

    def write(row: dict) -> None:
        # What a killed process wrote of later epochs is not shown.
        with SummaryWriter(str(folder), purge_step=row["epoch"]) as file:
            for name, value in _numbers(row).items():
                file.add_scalar(name, value, row["epoch"])

    return write


def _dvclive(folder: Path) -> Writer:
    from dvclive import Live

    def write(row: dict) -> None:
        # Opened anew each time: how far it is, it reads from its own files.
        live = Live(str(folder), resume=row["epoch"] > 1, save_dvc_exp=False, dvcyaml=None)
        with live:
            live.step = row["epoch"]
            for name, value in _numbers(row).items():
                live.log_metric(name, value)

    return write


def _numbers(row: dict) -> dict[str, float]:
    """The columns that say something, without the number of the epoch."""
    return {name: v for name, v in row.items() if name != "epoch" and not math.isnan(v)}
