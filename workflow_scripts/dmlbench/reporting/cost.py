"""What every method cost to train: hours, seconds per epoch, memory; by device."""

import pandas as pd

from dmlbench.config import METHOD_KEYS, RUN_KEYS, Plan
from dmlbench.reporting.formats import Cell, Table
from dmlbench.reporting.statistics import summarize
from dmlbench.reporting.table_lines import method_lines

#: In the place of a device where nothing ran.
NO_DEVICE = "not run"
_METHOD = ["dataset", *METHOD_KEYS]


def cost(plan: Plan, history: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each experiment, method and device.

    Columns: experiment, dataset, method (in words), recipe, loss, sampler, device, runs, planned,
    hours (of all its runs together), epoch_seconds and epoch_half_width (mean and 95% t-interval
    over runs, of each run's mean without its first epoch, which also fills caches), host_mb and
    gpu_mb (the most of any run). A method without runs has one row, without numbers.
    """
    epochs = history[["epoch", "seconds", *RUN_KEYS]]
    if epochs["epoch"].max() > 1:
        epochs = epochs[epochs["epoch"] > 1]
    per_run = epochs.groupby(RUN_KEYS, sort=False)["seconds"].mean().rename("epoch_seconds")
    by = runs.merge(per_run.reset_index(), on=RUN_KEYS).groupby([*_METHOD, "device"], sort=False)
    found = by.agg(
        runs=("seconds", "size"),
        hours=("seconds", lambda seconds: seconds.sum() / 3600),
        epoch_seconds=("epoch_seconds", "mean"),
        epoch_half_width=("epoch_seconds", lambda seconds: summarize(seconds).half_width),
        host_mb=("peak_host_mb", "max"),
        gpu_mb=("peak_gpu_mb", "max"),
    )
    table = method_lines(plan).merge(found.reset_index(), how="left", on=_METHOD)
    return table.fillna({"device": NO_DEVICE, "runs": 0}).astype({"runs": int})


def cost_table(long: pd.DataFrame, foot: str) -> Table:
    """A block for each experiment and device; ``foot`` ends the notes."""
    blocks = {}
    for (experiment, device), mine in long.groupby(["experiment", "device"], sort=False):
        rows = [
            {
                "": one.method,
                "runs": Cell(
                    one.runs, decimals=0, note=f"of {one.planned}" * (one.runs < one.planned)
                ),
                "hours": Cell(one.hours, decimals=2),
                "s/epoch": Cell(one.epoch_seconds, one.epoch_half_width, decimals=2),
                "memory (MB)": Cell(one.host_mb, decimals=0),
                "GPU (MB)": Cell(one.gpu_mb, decimals=0),
            }
            for one in mine.itertuples()
        ]
        blocks[f"{experiment}, {device}"] = pd.DataFrame(rows).set_index("")
    once = long[long["runs"] > 0].drop_duplicates([*_METHOD, "device"])
    sums = once.groupby("device")["hours"].sum()
    total = ", ".join(f"{hours:.2f} hours on {device}" for device, hours in sums.items())
    notes = (
        "Hours: all runs of a method together. s/epoch: mean over runs ± half of the 95% "
        "t-interval, without the first epoch and without measuring. Memory: the most that a run "
        f"took. All trainings together: {total}; a run that several experiments share counts "
        f"once. {foot}"
    )
    return Table("Cost of training", notes, "cost", blocks)
