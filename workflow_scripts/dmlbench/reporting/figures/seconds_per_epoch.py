"""The time of an epoch for each method."""

from dmlbench.reporting.figures import register_figure


@register_figure("Seconds per epoch", tables=("history", "runs"))
def seconds_per_epoch(data):
    """Seconds of training per epoch, without measuring and without the first epoch: mean over
    training seeds, with bars from the lowest to the highest seed. Only times on one device can be
    compared.
    """
    from dmlbench.reporting.style import COLUMN, plt, sns

    epochs = data.table("history", ["epoch", "seconds"])
    # The first epoch also compiles, fills caches and waits for the disk.
    if epochs["epoch"].max() > 1:
        epochs = epochs[epochs["epoch"] > 1]
    table = epochs.groupby(["seed", "method"], sort=False)["seconds"].mean().reset_index()
    table = table.merge(data.table("runs", ["device", "host"]))
    table["device"] = table["device"].str.replace("cpu", "CPU") + ", host " + table["host"]
    table["words"] = table["method"].map(data.words)
    devices = list(table.groupby("device", sort=False))
    size = COLUMN + 0.6, (0.2 * len(data.words) + 0.55) * len(devices)
    figure, axes = plt.subplots(len(devices), figsize=size, squeeze=False, layout="constrained")
    for axis, (device, mine) in zip(axes[:, 0], devices, strict=True):
        for method, one in mine.groupby("method", sort=False):
            look = data.styles[method] | {"linestyle": "none", "err_kws": {"linewidth": 0.8}}
            sns.pointplot(
                one, x="seconds", y="words", order=mine["words"].unique(), errorbar=("pi", 100),
                capsize=0.3, ax=axis, **look,
            )  # fmt: skip
        axis.set(xlim=(0, None), xlabel="", ylabel="", title=device)
        axis.tick_params(axis="y", length=0)
        sns.despine(ax=axis)
    axes[-1, 0].set_xlabel("seconds per epoch")
    return figure, data.over_seeds(table, "device", "method", value="seconds")
