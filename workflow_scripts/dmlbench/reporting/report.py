"""The report: pages of our own, and Snakemake's HTML around them, tables and figures."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from dmlbench import __version__, paths
from dmlbench.checking.ledger import OK, as_table, ledger
from dmlbench.config import METHOD_KEYS, RUN_KEYS, Plan
from dmlbench.errors import UserError
from dmlbench.files import replacing, write_text
from dmlbench.reporting import names
from dmlbench.reporting.captions import caption, missing_runs, partial
from dmlbench.reporting.cells import BLOCK, printed_cells
from dmlbench.reporting.formats import HTML, cell_text
from dmlbench.reporting.overall_tables import cost
from dmlbench.reporting.table_lines import lines_of
from dmlbench.reporting.verdicts import EXPLAINED, write_verdicts
from dmlbench.version import BENCHMARK_VERSION

#: What the runs' table says besides where a run was trained.
_ABOUT_A_RUN = {*RUN_KEYS, "code", "seconds", "peak_host_mb", "peak_gpu_mb"}


def write_pages(plan: Plan) -> None:
    """Write the summary page, a page for each experiment, and the verdicts as CSV."""
    name = plan.benchmark.name
    runs = pd.read_parquet(paths.summary(name, "runs"))
    entries = as_table(ledger(plan))
    found = write_verdicts(plan)
    check = Path(paths.check(name))
    shared = {"name": name, "version": __version__, "benchmark_version": BENCHMARK_VERSION}
    page = _render(
        "summary.html.j2",
        **shared,
        explained=EXPLAINED,
        verdicts=_by(found, "kind"),
        counts=found["verdict"].value_counts().to_dict(),
        states=entries["state"].value_counts().to_dict(),
        unfinished=entries[entries["state"] != OK].to_dict("records"),
        check=json.loads(check.read_text(encoding="utf-8")) if check.is_file() else None,
        cost=_cost(plan, runs),
        machines=_machines(runs),
        commits=sorted(runs["commit"].unique()),
        seeds=plan.benchmark.seeds,
        trainings=len(plan.runs),
        gaps=partial(missing_runs(plan, None, entries)),
        config=plan.benchmark.as_json(),
    )
    write_text(Path(paths.summary_page(name)), page)
    for experiment in plan.benchmark.experiments:
        long = pd.read_csv(paths.table(name, experiment, "csv")).fillna({"subset": ""})
        page = _render(
            "experiment.html.j2",
            **shared,
            title=names.title(plan, experiment),
            about=caption(plan, experiment, long, missing_runs(plan, experiment, entries)),
            blocks=_blocks(long),
            methods=_runs_of_methods(plan, experiment, entries, runs),
        )
        write_text(Path(paths.experiment_page(name, experiment)), page)


def _render(template: str, **values: object) -> str:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(**values)


def _blocks(long: pd.DataFrame) -> list[dict]:
    """The experiment's table, a block for each selection and part: its head and its rows."""
    blocks = []
    for (selection, *part), block in long.groupby(BLOCK, sort=False):
        texts = printed_cells(block).map(cell_text, form=HTML).map(Markup)
        title = f"{names.part(*part)}: {names.SELECTIONS[selection]}"
        rows = list(zip(texts.index, texts.to_numpy().tolist(), strict=True))
        blocks.append({"title": title, "head": list(texts.columns), "rows": rows})
    return blocks


def _runs_of_methods(
    plan: Plan, experiment: str, entries: pd.DataFrame, runs: pd.DataFrame
) -> dict[str, list[dict]]:
    """The runs behind each row of an experiment's table: state, folder and where it was trained."""
    planned = [*plan.experiment_runs(experiment), *plan.controls[experiment].values()]
    rows = entries.merge(runs, how="left", on=RUN_KEYS).set_index("run")
    rows = rows.loc[[run.id for run in planned]].assign(
        folder=[str(plan.run_folder(run)) for run in planned],
        where=lambda table: (table["device"] + ", " + table["host"]).fillna(""),
    )
    words = pd.DataFrame(lines_of(plan, experiment))[["method", *METHOD_KEYS]]
    return _by(rows.merge(words, on=METHOD_KEYS), "method")


def _by(table: pd.DataFrame, column: str) -> dict[str, list[dict]]:
    """The rows of each value of a column, for a template; None where there is nothing."""
    table = table.astype(object).where(table.notna(), None)
    return {key: rows.to_dict("records") for key, rows in table.groupby(column, sort=False)}


def _cost(plan: Plan, runs: pd.DataFrame) -> list[dict]:
    """Hours of training of each experiment on each device, as in the table of costs."""
    history = pd.read_parquet(paths.summary(plan.benchmark.name, "history"))
    by = cost(plan, history, runs).groupby(["experiment", "device"], sort=False)
    return by[["runs", "hours"]].sum().round(3).reset_index().to_dict("records")


def _machines(runs: pd.DataFrame) -> list[dict]:
    """Where the runs were trained: one row for each distinct host, device and software."""
    keys = [c for c in runs.columns if c not in _ABOUT_A_RUN]
    grouped = runs.groupby(keys, dropna=False)["seconds"].agg(["size", "sum"]).reset_index()
    grouped["sum"] = grouped["sum"].round().astype(int)
    return grouped.rename(columns={"size": "runs", "sum": "training seconds"}).to_dict("records")


def snakemake_report(plan: Plan, config: Path, snakefile: Path) -> None:
    """Have Snakemake write its report over everything but the report itself.

    Raises:
        UserError: Snakemake could not; names its last line.
    """
    with replacing(Path(paths.report(plan.benchmark.name))) as temporary:
        command = [
            *(sys.executable, "-m", "snakemake", "results", "--snakefile", str(snakefile)),
            *("--configfile", str(config), "--report", str(temporary), "--nolock"),
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode or not temporary.stat().st_size:
            lines = (result.stderr or result.stdout).strip().splitlines()
            raise UserError(f"snakemake --report failed: {lines[-1] if lines else 'no output'}")
