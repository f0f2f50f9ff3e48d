"""Recall@1 along the values of a sweep."""

from itertools import cycle

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


def _applies(plan: Plan, experiment: str) -> bool:
    return recall_is_measured(plan, experiment) and swept_key(plan, experiment) is not None


@register_figure("Recall@1 along the sweep", applies=_applies, tables=("metrics",))
def sweep(data):
    """Recall@1 on each part of the test against the value that this experiment varies: mean over
    training seeds, with bars from the lowest to the highest seed.
    """
    from dmlbench.reporting.style import MARKERS, method_curves

    key = swept_key(data.plan, data.experiment)
    words, factor, offset = SWEPT.get(key, (key.partition(".")[2].replace("_", " "), 1, 0))
    table = data.recalls(data.smallest_k)
    origin = {method: data.plan.swept[method] for method in data.words}
    table[words] = [factor * origin[m].settings[key] + offset for m in table["method"]]
    # A sweep over several keys has a line for each combination of the other values.
    others = {
        m: (o.base, *(v for k, v in o.settings.items() if k != key)) for m, o in origin.items()
    }
    darkest = {line: method for method, line in others.items()}  # the last of each
    lines = {}
    for marker, ((_, *values), method) in zip(cycle(MARKERS), darkest.items(), strict=False):
        label = names.base(data.plan, method)
        label += f" ({', '.join(map(str, values))})" if values else ""
        lines[method] = data.styles[method] | {"label": label, "marker": marker}
    drawn = table.assign(method=[darkest[others[m]] for m in table["method"]])
    axes = {"xlabel": words, "ylabel": f"Recall@{data.smallest_k} (%)"}
    axes["xticks"] = sorted(table[words].unique())
    figure = method_curves(data, drawn, words, lines, bars=True, **axes)
    return figure, data.over_seeds(table, "subset", "label", "method", words)
