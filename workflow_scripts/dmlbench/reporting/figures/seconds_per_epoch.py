"""The time of an epoch for each method."""

from dmlbench.reporting.figures import register_figure


@register_figure(
    "seconds_per_epoch",
    title="Seconds per epoch",
    caption=(
        "Seconds of training per epoch, without measuring and without the first epoch: mean over "
        "training seeds, with bars from the lowest to the highest seed. Only times on one device "
        "can be compared."
    ),
    tables=("history", "runs"),
)
def seconds_per_epoch(data):
    """Seconds of training per epoch, mean over epochs, a panel for each device (PD-Loss 5d)."""
    import seaborn as sns

    from dmlbench.reporting.figure_data import RUN_KEYS, over_seeds
    from dmlbench.reporting.style import COLUMN, plt

    epochs = data.table("history", ["epoch", "seconds"])
    # The first epoch also compiles, fills caches and waits for the disk.
    if epochs["epoch"].max() > 1:
        epochs = epochs[epochs["epoch"] > 1]
    table = epochs.groupby([*RUN_KEYS, "method"], sort=False)["seconds"].mean().reset_index()
    table = table.merge(data.table("runs", ["device", "host"]))
    table["device"] = table["device"].str.replace("cpu", "CPU") + ", host " + table["host"]
    devices = list(table.groupby("device", sort=False))
    height = 0.2 * len(data.words) + 0.55
    figure, axes = plt.subplots(
        len(devices), figsize=(COLUMN + 0.6, height * len(devices)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, (device, mine) in zip(axes[:, 0], devices, strict=True):
        for method, one in mine.groupby("method", sort=False):
            style = {**data.styles[method], "linestyle": "none"}
            words = one.assign(method=data.words[method])
            sns.pointplot(
                words, x="seconds", y="method", errorbar=("pi", 100), ax=axis, capsize=0.3,
                order=[data.words[m] for m in dict.fromkeys(mine["method"])],
                err_kws={"linewidth": 0.8}, **style,
            )  # fmt: skip
        axis.set(xlim=(0, None), xlabel="", ylabel="", title=device)
        axis.tick_params(axis="y", length=0)
        sns.despine(ax=axis)
    axes[-1, 0].set_xlabel("seconds per epoch")
    return figure, over_seeds(table, ["device", "method"], "seconds")
