"""The report: a summary page, and Snakemake's HTML around tables and figures."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from dmlbench import __version__, paths
from dmlbench.config import Plan
from dmlbench.errors import UserError
from dmlbench.files import replacing, write_text
from dmlbench.reporting import names
from dmlbench.reporting.collect import RUN_COLUMNS
from dmlbench.reporting.tables import wide


def write_summary(plan: Plan) -> None:
    """Write the summary page: every table, what was compared, and where it ran."""
    benchmark = plan.benchmark
    experiments = []
    for name, experiment in benchmark.experiments.items():
        long = pd.read_csv(paths.table(benchmark.name, name, "csv"), keep_default_na=True)
        long["subset"] = long["subset"].fillna("")
        blocks = [
            {
                "title": f"{names.part(*key[1:])}: {names.selection(key[0])}",
                "html": wide(block).rename_axis(index=None).to_html(border=0),
            }
            for key, block in long.groupby(["selection", "split", "subset", "label"], sort=False)
        ]
        experiments.append({"name": name, "title": experiment.title or name, "blocks": blocks})
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"))
    page = environment.get_template("summary.html.j2").render(
        name=benchmark.name,
        version=__version__,
        experiments=experiments,
        machines=_machines(pd.read_parquet(paths.summary(benchmark.name, "runs"))),
        runs=len(plan.runs),
        seeds=benchmark.seeds,
    )
    write_text(Path(paths.summary_page(benchmark.name)), page)


def _machines(runs: pd.DataFrame) -> list[dict]:
    """Where the runs were trained: one row for each distinct host, device and software."""
    keys = [c for c in runs.columns if c not in {*RUN_COLUMNS, "seconds", "code"}]
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
