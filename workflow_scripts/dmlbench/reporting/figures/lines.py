"""A line for each method: mean over seeds, and a band or bars from the lowest to the highest."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.reporting import names
from dmlbench.reporting.figures.kinds import swept_key
from dmlbench.reporting.figures.shared import Scene, over_seeds
from dmlbench.reporting.style import COLUMN, MARKERS, PAGE, grid, legend_below

Drawn = tuple[plt.Figure, pd.DataFrame]

#: Swept keys as an axis says them, and what the values are multiplied with or added to.
SWEPT = {
    "sampler.per_class": ("other images of its class in an anchor's batch", 1, -1),
    "loss.trim": ("triplets trimmed (%)", 100, 0),
    "recipe.batch_size": ("images per batch", 1, 0),
    "recipe.embedding_dim": ("dimension of the embedding", 1, 0),
}


def recall_per_epoch(scene: Scene) -> Drawn:
    """Recall@1 after each epoch, on the test and on validation (EPS figure 5a, PD-Loss 2 to 4)."""
    history = scene.table("history")
    facts = scene.plan.facts(scene.dataset)
    titles = {
        "recall_at_1_test_max": names.part(*scene.parts("test")[0]),
        "recall_at_1_val": f"validation, {facts['train_label']}",
    }
    shown = [c for c in titles if c in history and history[c].notna().any()]
    figure, axes = _panels(len(shown))
    tables = []
    for axis, column in zip(axes, shown, strict=True):
        measured = history.dropna(subset=[column]).assign(value=100 * history[column])
        curves = over_seeds(measured, ["method", "epoch"])
        for method, curve in curves.groupby("method", sort=False):
            _line(axis, scene, method, curve, "epoch")
        axis.set(xlabel="epoch", ylabel="Recall@1 (%)", title=titles[column])
        axis.xaxis.get_major_locator().set_params(integer=True)
        tables.append(curves.assign(part=titles[column]))
    return _finished(figure, axes), pd.concat(tables)


def recall_at_k(scene: Scene) -> Drawn:
    """Recall@K against K on each part of the test (PD-Loss figure 5a to c)."""
    table = over_seeds(scene.recalls(), ["subset", "label", "method", "k"])
    ks = sorted(table["k"].unique())
    figure, axes, parts = _test_panels(scene)
    for axis, (_, mine) in zip(axes, _of_parts(table, parts), strict=True):
        for method, curve in mine.groupby("method", sort=False):
            _points(axis, scene, method, curve.assign(k=curve["k"].map(ks.index)), "k")
        axis.set(xticks=range(len(ks)), xticklabels=ks, xlabel="K", ylabel="Recall@K (%)")
    return _finished(figure, axes), table


def sweep(scene: Scene) -> Drawn:
    """Recall@1 against what an experiment sweeps (EPS figures 4 and 5b, PD-Loss figure 4)."""
    key = swept_key(scene.plan, scene.experiment)
    assert key is not None
    table = over_seeds(scene.recalls(scene.k), ["subset", "label", "method"])
    origin = {m: scene.plan.swept[m] for m in scene.words}
    words, factor, offset = SWEPT.get(key, (key.partition(".")[2].replace("_", " "), 1, 0))
    table["x"] = [factor * origin[m].settings[key] + offset for m in table["method"]]
    # Of a sweep over several keys the others tell the lines apart.
    others = {
        m: (o.base, *(v for k, v in o.settings.items() if k != key)) for m, o in origin.items()
    }
    darkest = {line: m for m, line in others.items()}  # the last of each
    table["line"] = [darkest[others[m]] for m in table["method"]]
    figure, axes, parts = _test_panels(scene)
    for axis, (_, mine) in zip(axes, _of_parts(table, parts), strict=True):
        for number, (method, curve) in enumerate(mine.groupby("line", sort=False)):
            label = names.base(scene.plan, method)
            marker = MARKERS[number % len(MARKERS)]
            if extra := others[method][1:]:
                label += f" ({', '.join(map(str, extra))})"
            _points(axis, scene, method, curve.sort_values("x"), "x", label=label, marker=marker)
        axis.set(xlabel=words, ylabel=f"Recall@{scene.k} (%)")
        axis.set_xticks(sorted(table["x"].unique()))
    return _finished(figure, axes), table.drop(columns="line").rename(columns={"x": words})


def roc(scene: Scene) -> Drawn:
    """True against false accept rates on the pairs of each protocol."""
    rows = []
    runs = scene.plan.experiment_runs(scene.experiment)
    for method, _, table in scene.of_runs(runs, paths.ROC_FILE):
        for protocol, curve in table.groupby("protocol", sort=False):
            # The best that is reached without exceeding a rate: steps, nothing interpolated.
            rates = np.geomspace(1e-3, 1, 61)
            reached = np.searchsorted(curve["far"], rates, side="right") - 1
            values = 100 * curve["tar"].to_numpy()[reached]
            rows += [(protocol, method, r, v) for r, v in zip(rates, values, strict=True)]
    table = over_seeds(
        pd.DataFrame(rows, columns=["protocol", "method", "far", "value"]),
        ["protocol", "method", "far"],
    )
    protocols = list(dict.fromkeys(table["protocol"]))
    figure, axes = _panels(len(protocols))
    for axis, protocol in zip(axes, protocols, strict=True):
        for method, curve in table[table["protocol"] == protocol].groupby("method", sort=False):
            _line(axis, scene, method, curve, "far", markevery=10)
        axis.set(
            xscale="log", xlim=(1e-3, 1), ylim=(None, 100), title=names.part("test", protocol, "")
        )
        axis.set(xlabel="false accept rate", ylabel="true accept rate (%)")
    return _finished(figure, axes), table


def _panels(count: int) -> tuple[plt.Figure, list[plt.Axes]]:
    width = COLUMN if count == 1 else PAGE
    across = min(count, 2)
    rows = -(-count // across)
    figure, axes = plt.subplots(
        rows, across, figsize=(width, 2.3 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def _test_panels(scene: Scene) -> tuple[plt.Figure, list[plt.Axes], list]:
    parts = scene.parts("test")
    figure, axes = _panels(len(parts))
    for axis, part in zip(axes, parts, strict=True):
        axis.set_title(names.part(*part))
    return figure, axes, parts


def _of_parts(table: pd.DataFrame, parts: list) -> list:
    return [
        (part, table[(table["subset"] == part[1]) & (table["label"] == part[2])]) for part in parts
    ]


def _line(axis, scene: Scene, method, curve: pd.DataFrame, x: str, markevery: int = 1) -> None:
    """A line with markers, and a band between the lowest and the highest seed.

    The band has the line's dashes at its edges: methods that share a colour are told apart by them.
    """
    style = scene.styles[method]
    every = max(markevery, len(curve) // 10)
    axis.plot(curve[x], curve["mean"], label=scene.words[method], markevery=every, **style)
    axis.fill_between(curve[x], curve["low"], curve["high"], color=style["color"], alpha=0.13, lw=0)
    for edge in ("low", "high"):
        axis.plot(curve[x], curve[edge], color=style["color"], linestyle=style["linestyle"], lw=0.4)


def _points(
    axis, scene: Scene, method, curve: pd.DataFrame, x: str, label: str = "", **others: object
) -> None:
    """Markers joined by a line, and bars from the lowest to the highest seed."""
    style = {**scene.styles[method], **others}
    bars = np.abs(curve[["low", "high"]].to_numpy().T - curve["mean"].to_numpy())
    axis.errorbar(
        curve[x], curve["mean"], bars, label=label or scene.words[method],
        elinewidth=0.7, capsize=1.5, capthick=0.7, **style,
    )  # fmt: skip


def _finished(figure: plt.Figure, axes: list[plt.Axes]) -> plt.Figure:
    for axis in axes:
        grid(axis)
    handles, labels = axes[0].get_legend_handles_labels()
    legend_below(figure, handles, labels, 2 * len(axes[:2]))
    return figure
