"""All tables as LaTeX, CSV and Markdown, and the notes below them."""

import math
import textwrap
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.checking.ledger import OK
from dmlbench.checking.results import SIZES
from dmlbench.config import Plan
from dmlbench.config.dataset_facts import clusters_per_class
from dmlbench.evaluation.metric import find_measure
from dmlbench.files import write_text
from dmlbench.reporting import names
from dmlbench.reporting.cells import BLOCK, cells, count, more_data, printed_cells, stored_name
from dmlbench.reporting.claims import paired_tests
from dmlbench.reporting.collected import read_ledger, read_summary
from dmlbench.reporting.formats import (
    MARKDOWN,
    MINUS,
    Cell,
    Table,
    markdown,
    markdown_section,
    render_notes,
    write_csv,
)
from dmlbench.reporting.hierarchy import hierarchy_tables
from dmlbench.reporting.latex import latex, tex
from dmlbench.reporting.matching import published_rows
from dmlbench.reporting.overall_tables import board_table, cost, cost_table, leaderboard
from dmlbench.reporting.published import published_of

_NAMED = 5  #: so many missing runs are named, and settings that differ; the ledger has all runs
_REASON = 90  #: letters of a reason that are printed
_TESTS_HEAD = ["difference", "p (t)", "p (exact)", "d", "more seeds"]


def write_tables(plan: Plan, experiment: str) -> None:
    """Write the experiment's table as .tex, .csv (the long form) and .md, and its tests as .csv."""
    name = plan.benchmark.name
    plan.check_experiment(experiment)
    metrics = read_summary(plan, "metrics")
    ledger = read_ledger(plan)
    long, tests = cells(plan, experiment, metrics), paired_tests(plan, experiment, metrics)
    write_csv(Path(paths.table(name, experiment, "csv")), long)
    write_csv(Path(paths.tests(name, experiment)), tests)
    gaps = partial(plan, experiment, ledger)
    notes = caption(plan, experiment, long, gaps)
    tables = _experiment_tables(plan, experiment, long, notes)
    escape = MARKDOWN.text
    text = [f"## {escape(names.title(plan, experiment))}", ""]
    for part, table in tables.items():
        for selection, block in table.blocks.items():
            text += [f"**{escape(part)}**, {escape(selection)}", "", markdown(block), ""]
    text += [escape(notes if tables else none_yet(gaps)), ""]
    more = hierarchy_tables(plan, experiment, metrics, gaps)
    more += [] if tests.empty else [_tests_table(plan, experiment, tests, gaps)]
    printed = [*tables.values(), *more]
    text += map(markdown_section, more)
    write_text(Path(paths.table(name, experiment, "md")), "\n".join(text))
    said = "" if tables else tex(none_yet(gaps)) + "\n"
    write_text(Path(paths.table(name, experiment, "tex")), latex(printed) + said)


def write_overview(plan: Plan, which: str) -> None:
    """Write the leaderboard or the cost table as .tex, .csv (the long form) and .md."""
    name = plan.benchmark.name
    metrics, history, runs = (read_summary(plan, table) for table in ("metrics", "history", "runs"))
    ledger = read_ledger(plan)
    gaps = partial(plan, None, ledger)
    if which == "leaderboard":
        long = leaderboard(plan, metrics)
        title = "Leaderboard"
        boards = [] if long.empty else long.groupby("dataset", sort=False)
        tables = [board_table(mine, gaps) for _, mine in boards]
        empty = "No test was measured by R@K, MAP@R or NMI, by which methods are ranked."
    else:
        long = cost(plan, history, runs)
        title = "Cost of training"
        tables = [] if long.empty else [cost_table(long, gaps)]
        empty = "Nothing was trained."
    write_csv(Path(paths.table(name, which, "csv")), long)
    write_text(Path(paths.table(name, which, "tex")), latex(tables))
    sections = [*map(markdown_section, tables)] or [f"{empty}\n"]
    text = "\n".join([f"## {title}", "", *sections])
    write_text(Path(paths.table(name, which, "md")), text)


def caption(plan: Plan, experiment: str, long: pd.DataFrame, gaps: str) -> str:
    """How to read an experiment's table; ``gaps`` says which runs it lacks."""
    tables = published_of(plan, experiment)
    nmi_plus, sizes = long.loc[long["metric"] == "nmi_plus", "label"].head(1), _sizes(long)
    return render_notes(
        "caption.txt.j2",
        partial=gaps,
        seeds=len(plan.benchmark.seeds),
        controls=plan.controls[experiment],
        legend=names.legend(plan, experiment),
        more_data=more_data(long),
        sources=dict.fromkeys(long.loc[long["published"].notna(), "source"]),
        silent=[table.source for table in tables if not table.parts],
        other=_other_settings(plan, experiment, long),
        collapsed=(long["collapsed"] > 0).any(),
        r_precision=(long["metric"] == "r_precision").any(),
        sizes=sizes,
        apart=any(part["apart"] for part in sizes),
        nmi=(long["metric"] == "nmi").any(),
        vectors=_vectors(plan, experiment),
        copies=_copies(plan, experiment),
        left_out=plan.benchmark.evaluation.exclude_duplicates,
        clusters=[clusters_per_class(plan.benchmark.evaluation, at) for at in nmi_plus],
    )


def _other_settings(plan: Plan, experiment: str, long: pd.DataFrame) -> dict[str, list[str]]:
    """The sources of rows that are of a method of ours with other settings; the keys that differ.

    They are those of our method that comes nearest to each row.
    """
    found: dict[str, dict[str, None]] = {}
    for part in long[BLOCK[1:]].drop_duplicates().itertuples(index=False, name=None):
        for row in published_rows(plan, experiment, part):
            if row.other and not row.same:
                keys = dict.fromkeys(min(row.other.values(), key=len))
                found.setdefault(row.table.source, {}).update(keys)
    more = {source: max(len(keys) - _NAMED, 0) for source, keys in found.items()}
    return {
        source: [*list(keys)[:_NAMED], *([f"and {more[source]} more"] if more[source] else [])]
        for source, keys in found.items()
    }


def _sizes(long: pd.DataFrame) -> list[dict]:
    """The sizes of parts that are not as usual, with the part in words.

    They have queries ``apart`` from the gallery, without a match, or with a copy in it.
    """
    if not set(SIZES) <= set(long):
        return []
    sizes = long[[*BLOCK[1:], *SIZES]].dropna(subset=list(SIZES)).drop_duplicates()
    sizes = sizes.assign(part=[names.part(*row[:3]) for row in sizes.itertuples(index=False)])
    sizes = sizes.astype(dict.fromkeys(SIZES, int))
    sizes["apart"] = sizes["gallery"] != sizes["queries"] - 1
    told = sizes["apart"] | (sizes["unmatched"] > 0) | (sizes["copies"] > 0)
    return sizes[told].to_dict("records")


def _vectors(plan: Plan, experiment: str) -> list[str]:
    """The files of vectors that were made elsewhere, each with the start of its SHA-256."""
    made = (run.features for run in plan.controls[experiment].values() if run.features)
    files = {name: Path(plan.benchmark.features[name].file).name for name in made}
    return [f"{file} (SHA-256 {plan.vectors[name][:12]})" for name, file in files.items()]


def _copies(plan: Plan, experiment: str) -> list[int]:
    """How many images of the test training has too: with the same pixels, and nearly the same.

    Nothing where results are of before they were looked for.
    """
    runs = read_summary(plan, "runs")
    mine = runs[runs["dataset"] == plan.benchmark.experiments[experiment].dataset]
    counts = mine.reindex(columns=["same_images", "near_images"]).astype(float).max()
    return [] if counts.isna().any() else counts.astype(int).to_list()


def partial(plan: Plan, experiment: str | None, ledger: pd.DataFrame) -> str:
    """That an experiment's table, or one over all, lacks runs, and why; empty where it does not."""
    runs = list(plan.all_runs.values())
    if experiment is not None:
        runs = [*plan.experiment_runs(experiment), *plan.controls[experiment].values()]
    found = ledger.set_index("run").loc[[run.id for run in runs]]
    gaps = found[found["state"] != OK]
    if gaps.empty:
        return ""
    named = [
        f"{gap.Index}: {gap.state}, {textwrap.shorten(gap.reason, _REASON, placeholder=' ...')}"
        for gap in gaps.head(_NAMED).itertuples()
    ]
    if len(gaps) > _NAMED:
        named.append(f"and {len(gaps) - _NAMED} more in summary/ledger.csv")
    return (
        f"PARTIAL: {len(gaps)} runs are missing ({'; '.join(named)}). (k/n): k of n planned seeds "
        "are there."
    )


def none_yet(gaps: str) -> str:
    """What stands in the place of a table without any run; ``gaps`` says which are missing."""
    return f"No run of this experiment is finished yet. {gaps}"


def _experiment_tables(
    plan: Plan, experiment: str, long: pd.DataFrame, notes: str
) -> dict[str, Table]:
    """A table for each part of the dataset, by the part in words.

    It has a block for each selection, and one for published methods without a run of ours.
    """
    tables = {}
    for key, rows in long.groupby(BLOCK[1:], sort=False):
        part = names.part(*key)
        by_selection = rows.groupby("selection", sort=False)
        blocks = {names.SELECTIONS[name]: printed_cells(block) for name, block in by_selection}
        blocks |= _not_ours(plan, experiment, key, rows)
        title = f"{names.title(plan, experiment)}: {part}"
        label = "-".join(filter(None, (experiment, *key)))
        tables[part] = Table(title, notes, label, blocks)
    return tables


def _not_ours(
    plan: Plan, experiment: str, part: tuple, rows: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The published methods that none of ours is, or with other settings.

    A block for each source, with our columns.
    """
    columns = rows[["metric", "k"]].drop_duplicates().itertuples(index=False, name=None)
    heads = {stored_name(*column): find_measure(*column).label for column in columns}
    found: dict[str, dict] = {}
    selections = rows["selection"].unique()
    for row in published_rows(plan, experiment, part):
        beside = row.same and any(map(row.of, selections))  # the body is not always measured
        if not beside and heads.keys() & row.numbers.keys():
            line = {head: Cell(row.numbers.get(metric, math.nan)) for metric, head in heads.items()}
            block = found.setdefault(f"published, not run here: {row.table.source}", {})
            block[row.row.name] = line
    return {s: pd.DataFrame.from_dict(lines, orient="index") for s, lines in found.items()}


def headline(tests: pd.DataFrame) -> pd.DataFrame:
    """The tests of the first metric of each part, which is Recall@1 where it is measured."""
    first = tests.groupby(BLOCK, sort=False)[["metric", "k"]].transform("first")
    return tests[(tests["metric"] == first["metric"]) & (tests["k"] == first["k"])]


def _tests_table(plan: Plan, experiment: str, tests: pd.DataFrame, gaps: str) -> Table:
    """The headline tests: a row for each pair of methods, a block for each selection and part."""
    blocks = {}
    for (selection, *part), rows in headline(tests).groupby(BLOCK, sort=False):
        metric = find_measure(*rows[["metric", "k"]].iloc[0]).label
        name = f"{names.part(*part)}, {names.SELECTIONS[selection]}: {metric}"
        lines = {}
        for test in rows.itertuples():
            both = test.p_t_holm, test.p_exact_holm
            pair = f"{test.better} {MINUS} {test.worse} {count(test.n, test.planned)}".strip()
            lines[pair] = [
                Cell(test.difference, test.half_width),
                *("< 0.001" if p < 0.001 else Cell(p, decimals=3) for p in both),
                Cell(test.effect),
                Cell(test.more_seeds, decimals=0),
            ]
        blocks[name] = pd.DataFrame.from_dict(lines, orient="index", columns=_TESTS_HEAD)
    title = f"{names.title(plan, experiment)}: paired tests"
    notes = render_notes("tests.txt.j2", partial=gaps)
    return Table(title, notes, f"{experiment}-tests", blocks)
