"""What an epoch of each method takes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dmlbench.reporting.figures.shared import KEYS, Scene, over_seeds
from dmlbench.reporting.style import COLUMN, grid


def seconds_per_epoch(scene: Scene) -> tuple[plt.Figure, pd.DataFrame]:
    """Seconds of training per epoch, mean over epochs, a panel for each device (PD-Loss 5d).

    Measuring between epochs is not counted. Times of different devices never share an axis.
    """
    epochs = scene.table("history", ["epoch", "seconds"])
    runs = scene.table("runs", ["device", "host"])
    # The first epoch also compiles, fills caches and waits for the disk.
    if epochs["epoch"].max() > 1:
        epochs = epochs[epochs["epoch"] > 1]
    mean = epochs.groupby([*KEYS, "method"], sort=False)["seconds"].mean().reset_index()
    table = mean.merge(runs[[*KEYS, "device", "host"]], on=list(KEYS))
    table["device"] = table["device"].str.replace("cpu", "CPU") + ", host " + table["host"]
    table = over_seeds(table, ["device", "method"], "seconds")
    devices = list(dict.fromkeys(table["device"]))
    height = 0.2 * len(scene.words)
    figure, axes = plt.subplots(
        len(devices), 1, figsize=(COLUMN, (height + 0.55) * len(devices)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, device in zip(axes[:, 0], devices, strict=True):
        mine = table[table["device"] == device]
        for place, row in enumerate(mine.itertuples()):
            bars = np.array([[row.mean - row.low], [row.high - row.mean]])
            style = {**scene.styles[row.method], "linestyle": ""}
            axis.errorbar(row.mean, place, xerr=bars, elinewidth=0.8, capsize=2, **style)
        axis.set_yticks(range(len(mine)), [scene.words[m] for m in mine["method"]])
        axis.set(xlim=(0, None), ylim=(len(mine) - 0.5, -0.5), title=device)
        axis.tick_params(axis="y", length=0)
        grid(axis)
    axes[-1][0].set_xlabel("seconds per epoch")
    return figure, table
