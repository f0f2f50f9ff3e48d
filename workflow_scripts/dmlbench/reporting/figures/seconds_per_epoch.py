"""The time of an epoch for each method."""

from dmlbench.reporting.figures import register_figure


@register_figure("Seconds per epoch", tables=("history", "runs"))
def seconds_per_epoch(data):
    """Seconds of training per epoch, without measuring and without the first epoch: mean over
    training seeds, with bars from the lowest to the highest seed. Only times on one device can be
    compared.
    """
    from textwrap import fill

    from dmlbench.reporting.style import panels, sns

    epochs = data.table("history")
    # The first epoch also compiles, fills caches and waits for the disk.
    if epochs["epoch"].max() > 1:
        epochs = epochs[epochs["epoch"] > 1]
    table = epochs.groupby(["seed", "method"], sort=False)["seconds"].mean().reset_index()
    table = table.merge(data.table("runs")[["method", "seed", "device", "host"]])
    table["device"] = table["device"].str.replace("cpu", "CPU") + ", host " + table["host"]
    table["words"] = [fill(data.words[method], 26) for method in table["method"]]
    height = 0.7 + 0.14 * sum(words.count("\n") + 1.5 for words in table["words"].unique())

    def draw(axis, mine):
        for method, one in mine.groupby("method", sort=False):
            look = data.styles[method] | {"linestyle": "none", "err_kws": {"linewidth": 0.8}}
            sns.pointplot(
                one, x="seconds", y="words", order=mine["words"].unique(), errorbar=("pi", 100),
                capsize=0.3, ax=axis, **look,
            )  # fmt: skip
        axis.tick_params(axis="y", length=0)

    labels = {"xlim": (0, None), "xlabel": "seconds per epoch", "ylabel": ""}
    figure = panels(table, "device", 1, height, draw, **labels)
    return figure, data.over_seeds(table, "device", "method", value="seconds")
