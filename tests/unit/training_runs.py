"""A small training of the smoke config, for tests that interrupt it."""

from pathlib import Path

import yaml
from conftest import config_with

from dmlbench import paths
from dmlbench.data.dataset import get_dataset
from dmlbench.data.prepare import prepare
from dmlbench.errors import LeaveNow
from dmlbench.training.session import train_run
from dmlbench.training.stopping import Stopping

LOSSES = "pytorch_metric_learning.losses"
RUN = "digits_even_odd/digits_8d/triplet/eps/seed0"


def config_file(folder: Path, loss=None, sampler=None, **recipe) -> Path:
    """A config of short epochs, and the prepared digits, in ``folder``."""
    config = config_with(loss, sampler)
    config["recipes"]["digits_8d"] |= recipe
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    prepared = folder / paths.PREPARED.format(dataset="digits_even_odd", store="original")
    prepare(get_dataset("digits_even_odd"), {}, prepared)
    return file


def left(plan) -> list[str]:
    folder = plan.checkpoint_folder(plan.run_by_id(RUN))
    return sorted(file.name for file in folder.iterdir())


class StopAfter(Stopping):
    """Leaves after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def check(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            self.reason = "enough"
        super().check()


def trained_in_parts(plan, steps):
    """Train in so many steps each, from nothing; the number of parts it took."""
    run = plan.run_by_id(RUN)
    (plan.run_folder(run) / "run.json").unlink(missing_ok=True)
    parts = 1
    while parts < 100:
        try:
            train_run(plan, run, stopping=StopAfter(steps))
            return parts
        except LeaveNow:
            assert left(plan) == [paths.CHECKPOINT_FILE]
            parts += 1
    raise AssertionError("it never ends")
