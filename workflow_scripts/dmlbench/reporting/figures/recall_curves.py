"""Curves of recall, a line for each method: over epochs, over K, and over the values of a sweep."""

from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.figures import recall_is_measured, register_figure

#: Swept keys as an axis says them, and what the values are multiplied with or added to.
SWEPT = {
    "sampler.per_class": ("other images of its class in an anchor's batch", 1, -1),
    "loss.trim": ("triplets trimmed (%)", 100, 0),
    "recipe.batch_size": ("images per batch", 1, 0),
    "recipe.embedding_dim": ("dimension of the embedding", 1, 0),
}


def swept_key(plan: Plan, experiment: str) -> str | None:
    """The first key of an experiment's sweep that is a quantity; None without one."""
    for key, values in plan.benchmark.experiments[experiment].sweep.items():
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        # The number of a fold is a name.
        if len(numbers) == len(values) > 1 and key != "recipe.test_fold":
            return key
    return None


def _has_epochs(plan: Plan, experiment: str) -> bool:
    monitored = {"val", "test_max"} & set(plan.benchmark.selections)
    epochs = [plan.recipes[m[0]]["epochs"] for m in plan.methods[experiment]]
    return bool(monitored) and max(epochs) > 1


def _has_several_k(plan: Plan, experiment: str) -> bool:
    several = len(plan.benchmark.evaluation.recall_at) > 1
    return several and recall_is_measured(plan, experiment)


def _has_sweep(plan: Plan, experiment: str) -> bool:
    return recall_is_measured(plan, experiment) and swept_key(plan, experiment) is not None


@register_figure(
    "recall_per_epoch",
    title="Recall@1 per epoch",
    caption=(
        "Recall@1 after each epoch, on the test and on the held-out part of the training data: "
        "mean over training seeds, with a band from the lowest to the highest seed. The figure "
        "shows the course of the test; the tables say which epoch counts."
    ),
    applies=_has_epochs,
    tables=("history",),
)
def recall_per_epoch(data):
    """Recall@1 after each epoch, on test and validation (EPS figure 5a, PD-Loss figures 2 to 4)."""
    import pandas as pd

    from dmlbench.reporting.figure_data import over_seeds
    from dmlbench.reporting.style import method_lines, part_panels

    titles = {
        "recall_at_1_test_max": names.part(*data.test_parts()[0]),
        "recall_at_1_val": f"validation, {data.plan.facts(data.dataset)['train_label']}",
    }
    history = data.table("history")
    shown = {column: words for column, words in titles.items() if column in history}
    table = pd.concat(
        history.dropna(subset=[column]).assign(value=100 * history[column], part=words)
        for column, words in shown.items()
    )
    figure = part_panels(
        table,
        lambda mine, axis: method_lines(data, axis, mine, "epoch"),
        xlabel="epoch",
        ylabel="Recall@1 (%)",
    )
    for axis in figure.axes:
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure, over_seeds(table, ["part", "method", "epoch"])


@register_figure(
    "recall_at_k",
    title="Recall@K",
    caption=(
        "Recall@K on each part of the test: mean over training seeds, with bars from the lowest "
        "to the highest seed."
    ),
    applies=_has_several_k,
    tables=("metrics",),
)
def recall_at_k(data):
    """Recall@K against K on each part of the test (PD-Loss figure 5a to c)."""
    from dmlbench.reporting.figure_data import over_seeds
    from dmlbench.reporting.style import part_panels

    table = data.recalls().sort_values("k", kind="stable")

    def draw(mine, axis):
        for method, one in mine.groupby("method", sort=False):
            _points(axis, one, "k", label=data.words[method], **data.styles[method])
        axis.set_xlim(-0.25, mine["k"].nunique() - 0.75)

    figure = part_panels(table, draw, xlabel="K", ylabel="Recall@K (%)")
    return figure, over_seeds(table, ["subset", "label", "method", "k"])


@register_figure(
    "sweep",
    title="Recall@1 along the sweep",
    caption=(
        "Recall@1 on each part of the test against the value that this experiment varies: mean "
        "over training seeds, with bars from the lowest to the highest seed."
    ),
    applies=_has_sweep,
    tables=("metrics",),
)
def sweep(data):
    """Recall@1 against what an experiment sweeps (EPS figures 4 and 5b, PD-Loss figure 4)."""
    from dmlbench.reporting.figure_data import over_seeds
    from dmlbench.reporting.style import MARKERS, part_panels

    key = swept_key(data.plan, data.experiment)
    words, factor, offset = SWEPT.get(key, (key.partition(".")[2].replace("_", " "), 1, 0))
    table = data.recalls(data.smallest_k)
    origin = {m: data.plan.swept[m] for m in data.words}
    table[words] = [factor * origin[m].settings[key] + offset for m in table["method"]]
    # A sweep over several keys has a line for each combination of the other values.
    others = {
        m: (o.base, *(v for k, v in o.settings.items() if k != key)) for m, o in origin.items()
    }
    darkest = {line: m for m, line in others.items()}  # the last of each
    table["line"] = [darkest[others[m]] for m in table["method"]]

    def draw(mine, axis):
        for number, (method, one) in enumerate(mine.groupby("line", sort=False)):
            extra = ", ".join(map(str, others[method][1:]))
            label = names.base(data.plan, method) + (f" ({extra})" if extra else "")
            style = {**data.styles[method], "marker": MARKERS[number % len(MARKERS)]}
            _points(axis, one, words, label=label, native_scale=True, **style)
        axis.set_xticks(sorted(mine[words].unique()))

    figure = part_panels(table, draw, xlabel=words, ylabel=f"Recall@{data.smallest_k} (%)")
    return figure, over_seeds(table, ["subset", "label", "method", words])


def _points(axis, table, x: str, **how: object) -> None:
    """The mean over seeds at each x, joined by a line, with bars from the lowest to the highest."""
    import seaborn as sns

    sns.pointplot(
        table, x=x, y="value", errorbar=("pi", 100), ax=axis, legend=False, linewidth=1.2,
        capsize=0.08, err_kws={"linewidth": 0.7}, **how,
    )  # fmt: skip
