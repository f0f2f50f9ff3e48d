"""Tables of an experiment: one source, three formats."""

import re
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.errors import DataError
from dmlbench.files import replacing, write_text
from dmlbench.reporting import names
from dmlbench.reporting.latex import latex_table
from dmlbench.reporting.published.read import published_value, read_published
from dmlbench.reporting.statistics import Summary, summarize

#: Metrics that tables print; the others stay in the collected metrics.
PRINTED = ("recall", "nmi", "nmi_plus")


def cells(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """The experiment's table in long form: one row for each cell, percentages.

    Columns: selection, split, subset, label, metric, k, method (in words), recipe, loss, sampler,
    mean, half_width (of the 95% t-interval over seeds), n, published (or NaN).

    Raises:
        DataError: A method lacks the metrics of a planned seed.
    """
    benchmark = plan.benchmark
    title = benchmark.experiments[experiment]
    published = read_published(title.published) if title.published else None
    mine = metrics[(metrics["dataset"] == title.dataset) & metrics["metric"].isin(PRINTED)]
    keys = ["selection", "split", "subset", "label", "metric", "k"]
    rows = []
    for method in plan.methods[experiment]:
        recipe, loss, sampler = method
        own = mine[
            (mine["recipe"] == recipe) & (mine["loss"] == loss) & (mine["sampler"] == sampler)
        ]
        words = names.method(plan, *method, experiment)
        for key, group in own.groupby(keys, sort=False):
            seeds = sorted(group["seed"])
            if seeds != sorted(benchmark.seeds):
                raise DataError(
                    f"{experiment}: {words} has seeds {seeds} of {benchmark.seeds} for {key}; "
                    "run the pipeline to the end, a mean over fewer would not be comparable"
                )
            summary = summarize(100 * group["value"].to_numpy())
            row = dict(zip(keys, key, strict=True))
            value = None
            if published:
                metric = (
                    f"{row['metric']}@{row['k']}" if row["metric"] == "recall" else row["metric"]
                )
                part = (row["subset"], row["label"])
                value = published_value(
                    published, plan.losses[loss], plan.samplers[sampler], part, metric
                )
            rows.append(
                row
                | {"method": words, "recipe": recipe, "loss": loss, "sampler": sampler}
                | summary.__dict__
                | {"published": value}
            )
        if own.empty:
            raise DataError(f"{experiment}: no metrics of {words}; run the pipeline to the end")
    return pd.DataFrame(rows)


def write_tables(plan: Plan, experiment: str) -> None:
    """Write the experiment's table as .tex, .csv (the long form) and .md."""
    name = plan.benchmark.name
    plan.check_experiment(experiment)
    long = cells(plan, experiment, pd.read_parquet(paths.summary(name, "metrics")))
    with replacing(Path(paths.table(name, experiment, "csv"))) as temporary:
        long.to_csv(temporary, index=False, float_format="%.6f")
    write_text(Path(paths.table(name, experiment, "md")), markdown(plan, experiment, long))
    foot = caption(plan, experiment, long, "Last block")
    latex = latex_table(plan, experiment, long, foot)
    write_text(Path(paths.table(name, experiment, "tex")), latex)


def markdown(plan: Plan, experiment: str, long: pd.DataFrame) -> str:
    """One Markdown table for each selection and part; published numbers in brackets."""
    lines = [f"## {plan.benchmark.experiments[experiment].title or experiment}", ""]
    for (selection, split, subset, label), block in long.groupby(
        ["selection", "split", "subset", "label"], sort=False
    ):
        lines += [f"**{names.part(split, subset, label)}**, {names.selection(selection)}", ""]
        lines += [wide(block).to_markdown(disable_numparse=True), ""]
    lines.append(caption(plan, experiment, long, "In brackets"))
    return "\n".join(lines) + "\n"


def wide(block: pd.DataFrame) -> pd.DataFrame:
    """Methods down, metrics across, cells as text."""
    texts = [
        cell_text(Summary(r.mean_, r.half_width, r.n), r.published)
        for r in block.rename(columns={"mean": "mean_"}).itertuples()
    ]
    columns = [names.metric(r.metric, r.k) for r in block.itertuples()]
    table = block.assign(text=texts, column=columns)
    order = list(dict.fromkeys(columns))
    methods = list(dict.fromkeys(block["method"]))
    pivot = table.pivot(index="method", columns="column", values="text")
    return pivot.loc[methods, order].rename_axis(columns=None)


def cell_text(summary: Summary, published: float | None) -> str:
    """``53.9 ± 1.2 [42.0]``: mean, half interval, published number."""
    text = f"{summary.mean:.1f}"
    if summary.half_width is not None and not pd.isna(summary.half_width):
        text += f" ± {summary.half_width:.1f}"
    if published is not None and not pd.isna(published):
        text += f" [{published:.1f}]"
    return text


def caption(plan: Plan, experiment: str, long: pd.DataFrame, where_published: str) -> str:
    """What the numbers are, for the foot of a table.

    ``where_published`` says where the table shows published numbers.
    """
    count = int(long["n"].iloc[0])
    if count == 1:
        text = "Percent; one seed, so no interval."
    else:
        text = f"Percent; mean over {count} seeds ± half of the 95% t-interval."
    if legend := names.legend(plan, experiment):
        text += f" {legend}"
    published = plan.benchmark.experiments[experiment].published
    if published:
        source = read_published(published)
        text += f" {where_published}: {source['paper']}, {source['table']}."
    if (long["metric"] == "nmi_plus").any():
        label = long.loc[long["metric"] == "nmi_plus", "label"].iloc[0]
        factor = plan.benchmark.evaluation.nmi_plus_of(label)
        text += f" NMI+ uses {factor} clusters per class."
    return text


def parse_cell(text: str) -> tuple[float, float | None, float | None]:
    """The numbers of a cell: the reverse of :func:`cell_text`, for tests and readers."""
    match = re.fullmatch(r"([\d.]+)(?: ± ([\d.]+))?(?: \[([\d.]+)\])?", text)
    if match is None:
        raise ValueError(f"not a table cell: {text!r}")
    mean, half, published = (float(g) if g else None for g in match.groups())
    assert mean is not None
    return mean, half, published
