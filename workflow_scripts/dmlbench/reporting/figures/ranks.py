"""Critical-difference diagrams (Demsar 2006): which methods' mean ranks differ."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.figures.kinds import RANKED, same_methods
from dmlbench.reporting.figures.shared import Scene
from dmlbench.reporting.style import PAGE, method_styles

ALPHA = 0.05


def critical_difference(scene: Scene) -> tuple[plt.Figure, pd.DataFrame]:
    """Ranks of the methods by Recall@1, one diagram for each part of the test; blocks are seeds."""
    recalls = scene.recalls(scene.k)
    diagrams = []
    for split, subset, label in scene.parts("test"):
        mine = recalls[(recalls["subset"] == subset) & (recalls["label"] == label)]
        scores = mine.pivot(index="seed", columns="method", values="value")
        # Ranks need every method in every block; of a partial config those that are.
        whole = scores.reindex(columns=list(scene.words)).dropna(axis=1, how="all").dropna()
        diagrams.append((names.part(split, subset, label), whole))
    return _draw(diagrams, scene.words, scene.styles, f"Recall@{scene.k}", "seeds")


def critical_difference_overall(plan: Plan) -> tuple[plt.Figure, pd.DataFrame]:
    """The same over datasets, by means over seeds, where experiments compare the same methods."""
    diagrams, words, styles = [], {}, {}
    for group in same_methods(plan):
        rows = {}
        for experiment in group:
            scene = Scene.of(plan, experiment)
            recalls = scene.recalls(scene.k)
            first = scene.parts("test")[0]
            mine = recalls[(recalls["subset"] == first[1]) & (recalls["label"] == first[2])]
            means = mine.groupby("method", sort=False)["value"].mean()
            means.index = [m[1:] for m in means.index]  # recipes differ between datasets
            rows[scene.dataset] = means
            words |= {m[1:]: w for m, w in scene.words.items()}
            styles |= {m[1:]: s for m, s in method_styles(plan).items()}
        diagrams.append((", ".join(rows), pd.DataFrame(rows).T))
    return _draw(diagrams, words, styles, f"Recall@{scene.k}", "datasets")


def nemenyi(methods: int, blocks: int, alpha: float = ALPHA) -> float:
    """The difference of mean ranks that Nemenyi's test needs (Demsar 2006, section 3.2.2)."""
    quantile = stats.studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def mean_ranks(scores: pd.DataFrame) -> pd.Series:
    """Mean rank of each column over rows; the highest score has rank 1, ties share theirs."""
    return scores.rank(axis=1, ascending=False).mean()


def friedman(scores: pd.DataFrame) -> float:
    """p of Friedman's test that all columns rank alike; 1 where every row is one tie."""
    if (scores.nunique(axis=1) == 1).all():
        return 1.0
    return float(stats.friedmanchisquare(*scores.to_numpy().T).pvalue)


def cliques(ranks: pd.Series, difference: float) -> list[tuple[float, float]]:
    """First and last rank of each largest group whose ends differ by less than ``difference``."""
    ordered = np.sort(ranks.to_numpy())
    spans: list[tuple[float, float]] = []
    for start in range(len(ordered)):
        stop = np.searchsorted(ordered, ordered[start] + difference, side="left") - 1
        if stop > start and (not spans or ordered[stop] > spans[-1][1]):
            spans.append((float(ordered[start]), float(ordered[stop])))
    return spans


def _draw(diagrams, words, styles, metric, blocks) -> tuple[plt.Figure, pd.DataFrame]:
    tables = []
    heights = [1.05 + 0.18 * ((len(scores.columns) + 1) // 2) for _, scores in diagrams]
    figure, axes = plt.subplots(
        len(diagrams), 1, figsize=(PAGE, sum(heights)), height_ratios=heights, squeeze=False
    )
    figure.subplots_adjust(0, 0, 1, 1, hspace=0.15)
    for axis, (title, scores), height in zip(axes[:, 0], diagrams, heights, strict=True):
        # Of a partial config so few may be left; Friedman's test needs three methods too.
        if len(scores) < 2 or len(scores.columns) < RANKED:
            axis.set_axis_off()
            axis.text(0, 0.5, f"{title}: too few runs to rank methods")
            continue
        ranks = mean_ranks(scores).sort_values(kind="stable")
        needed = nemenyi(len(ranks), len(scores))
        p = friedman(scores)
        title = f"{title}: {metric} over {len(scores)} {blocks}, Friedman p = {p:.2g}"
        _diagram(axis, ranks, needed, [(words[m], styles[m]) for m in ranks.index], title, height)
        table = ranks.rename("mean_rank").rename_axis("method").reset_index()
        table["method"] = [words[m] for m in ranks.index]
        extra = {"part": title.partition(":")[0], "blocks": len(scores), "friedman_p": p}
        tables.append(table.assign(**extra, critical_difference=needed))
    return figure, pd.concat([pd.DataFrame(columns=["method"]), *tables], ignore_index=True)


def _diagram(axis: plt.Axes, ranks: pd.Series, needed: float, labels, title, height) -> None:
    """One diagram; heights in inches from the top, ranks from left to right."""
    count = len(ranks)
    room = 0.34 * (count - 1 or 1)  # for names, on either side
    axis.set(xlim=(1 - room, count + room), ylim=(height, 0))
    axis.set_axis_off()
    axis.text(1 - room, 0.1, title, va="center")
    axis.plot([1, 1 + needed], [0.4, 0.4], color="black", lw=0.7, marker="|", ms=5)
    axis.text(1 + needed / 2, 0.37, f"CD = {needed:.2f}", ha="center", va="bottom", fontsize=7)
    top = 0.68
    axis.plot([1, count], [top, top], color="black", lw=0.7)
    for rank in range(1, count + 1):
        axis.plot([rank, rank], [top - 0.05, top], color="black", lw=0.7)
        axis.text(rank, top - 0.08, str(rank), ha="center", va="bottom", fontsize=7)
    spans = cliques(ranks, needed)
    below = top + 0.1 + 0.07 * len(spans)
    for number, (first, last) in enumerate(spans):
        y = top + 0.1 + 0.07 * number
        axis.plot([first - 0.04, last + 0.04], [y, y], color="0.25", lw=2.6, solid_capstyle="butt")
    left = (count + 1) // 2
    for number, (rank, (words, style)) in enumerate(zip(ranks, labels, strict=True)):
        first = number < left
        line = number if first else count - 1 - number
        y = below + 0.1 + 0.17 * line
        edge = 1 - 0.03 * room if first else count + 0.03 * room
        axis.plot([rank, rank, edge], [top, y, y], color=style["color"], lw=0.8, zorder=0)
        axis.plot(rank, top, **{**style, "linestyle": ""}, markersize=4, clip_on=False)
        text = f"{words}  {rank:.2f}" if first else f"{rank:.2f}  {words}"
        side = "right" if first else "left"
        axis.text(edge, y, f" {text} ", ha=side, va="center", fontsize=7)
