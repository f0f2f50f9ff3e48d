"""Critical-difference diagrams (Demsar 2006): which methods differ in their mean ranks."""

from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.figures import recall_is_measured, register_figure

#: Fewer methods can be compared in a table, and Friedman's test needs as many.
RANKED = 3
ALPHA = 0.05


def _compares(plan: Plan, experiment: str) -> bool:
    sweep = plan.benchmark.experiments[experiment].sweep
    return not sweep and len(plan.methods[experiment]) >= RANKED


def same_methods(plan: Plan) -> list[list[str]]:
    """Groups of experiments on different datasets that compare the same losses and samplers."""
    groups: dict[frozenset, list[str]] = {}
    for experiment, methods in plan.methods.items():
        if _compares(plan, experiment):
            groups.setdefault(frozenset(m[1:] for m in methods), []).append(experiment)
    datasets = {name: facts.dataset for name, facts in plan.benchmark.experiments.items()}
    return [g for g in groups.values() if len({datasets[e] for e in g}) == len(g) > 1]


def _applies(plan: Plan, experiment: str) -> bool:
    measured = recall_is_measured(plan, experiment) and len(plan.benchmark.seeds) > 1
    return measured and _compares(plan, experiment)


@register_figure("Critical difference", applies=_applies, tables=("metrics",))
def critical_difference(data):
    """Mean rank of each method by Recall@1 over training seeds; rank 1 is best. A thick bar joins
    methods that Nemenyi's test does not tell apart at 5%: their mean ranks differ by less than CD
    (Demsar 2006). Seeds are repetitions on one dataset, so the ranks hold for this dataset.
    """
    diagrams = {}
    for part, mine in data.recalls(data.smallest_k).groupby("part", observed=True):
        scores = mine.pivot(index="seed", columns="method", values="value")
        # Ranks need every method in every block; a partial config may lack some.
        diagrams[part] = scores.reindex(columns=list(data.words)).dropna(axis=1, how="all").dropna()
    return _draw(diagrams, data.words, data.styles, f"Recall@{data.smallest_k} over {{}} seeds")


def over_datasets(plan: Plan):
    """The same over datasets, by means over seeds, where experiments compare the same methods."""
    import pandas as pd

    from dmlbench.reporting.draw_figures import FigureData, NothingToShowError

    k = min(plan.benchmark.evaluation.recall_at)
    diagrams, words, styles = {}, {}, {}
    for group in same_methods(plan):
        means = {}
        for data in (FigureData.of(plan, experiment) for experiment in group):
            try:
                recalls = data.recalls(k)
            except NothingToShowError:  # nothing of this dataset is there yet
                continue
            first = recalls[recalls["part"] == names.part(*data.test_parts()[0])]
            mean = first.groupby("method", sort=False)["value"].mean()
            # Recipes differ between datasets.
            means[data.dataset] = mean.set_axis([m[1:] for m in mean.index])
            words |= {m[1:]: w for m, w in data.words.items()}
            styles |= {m[1:]: s for m, s in data.styles.items()}
        diagrams[", ".join(means) or "no dataset yet"] = pd.DataFrame(means).T
    return _draw(diagrams, words, styles, f"Recall@{k} over {{}} datasets")


def nemenyi_difference(methods: int, blocks: int) -> float:
    """The difference of mean ranks that Nemenyi's test needs (Demsar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    quantile = studentized_range.ppf(1 - ALPHA, methods, float("inf")) / 2**0.5
    return float(quantile * (methods * (methods + 1) / (6 * blocks)) ** 0.5)


def friedman(scores) -> float:
    """The p of Friedman's test over blocks (rows) and methods (columns)."""
    from scipy.stats import friedmanchisquare

    # Where all methods tie in every block the statistic is 0 / 0.
    tied = (scores.nunique(axis=1) == 1).all()
    return 1.0 if tied else float(friedmanchisquare(*scores.to_numpy().T).pvalue)


def _draw(diagrams: dict, words: dict, styles: dict, what: str):
    """A diagram for each part or group, one below another, and the table of mean ranks."""
    import pandas as pd

    from dmlbench.reporting.style import PAGE, plt

    tables = [pd.DataFrame(columns=["method"])]
    heights = [1.2 + 0.17 * ((len(scores.columns) + 1) // 2) for scores in diagrams.values()]
    figure, axes = plt.subplots(
        len(diagrams), figsize=(PAGE, sum(heights)), height_ratios=heights, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, (part, scores) in zip(axes[:, 0], diagrams.items(), strict=True):
        if len(scores) < 2 or len(scores.columns) < RANKED:
            axis.set_axis_off()
            axis.set_title(f"{part}: too few runs to rank methods", loc="left")
            continue
        ranks = scores.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
        needed, p = nemenyi_difference(len(ranks), len(scores)), friedman(scores)
        title = f"{part}: {what.format(len(scores))}, Friedman p = {p:.2g}"
        axis.set_title(title, loc="left")
        _diagram(axis, scores, ranks, needed, words, styles)
        facts = {"blocks": len(scores), "friedman_p": p, "critical_difference": needed}
        table = ranks.rename(words).rename_axis("method").rename("mean_rank").reset_index()
        tables.append(table.assign(part=part, **facts))
    return figure, pd.concat(tables, ignore_index=True)


def _diagram(axis, scores, ranks, needed: float, words: dict, styles: dict) -> None:
    """The diagram of scikit-posthocs, with each method's own mark on the axis."""
    from textwrap import fill

    import scikit_posthocs

    label = {method: fill(words[method], 30) for method in ranks.index}
    significance = scikit_posthocs.posthoc_nemenyi_friedman(scores.rename(columns=label))
    drawn = scikit_posthocs.critical_difference_diagram(
        ranks.rename(label), significance, alpha=ALPHA, ax=axis, text_h_margin=0.1,
        label_fmt_left="{label}  {rank:.2f} ", label_fmt_right=" {rank:.2f}  {label}",
        label_props={"fontsize": "medium"}, marker_props={"s": 0}, elbow_props={"linewidth": 0.8},
        color_palette={label[m]: styles[m]["color"] for m in ranks.index},
    )  # fmt: skip
    for text in drawn["labels"]:
        text.set_color("black")
    for (bar,) in drawn["crossbars"]:
        bar.set_xdata(sorted(bar.get_xdata()))  # they come from a set, in any order
    for method, rank in ranks.items():
        axis.plot(rank, 0, **styles[method] | {"linestyle": "", "zorder": 4, "clip_on": False})
    # The library's own bar for CD lies on the numbers of the axis.
    axis.plot([1, 1 + needed], [2.2, 2.2], color="black", lw=0.7, marker="|", clip_on=False)
    axis.text(1 + needed / 2, 2.4, f"CD = {needed:.2f}", ha="center", va="bottom")
    axis.set(xticks=range(1, len(ranks) + 1), xlim=(0.9, len(ranks) + 0.1))
    axis.set_ylim(axis.get_ylim()[0], 3.2)
    axis.grid(False)
