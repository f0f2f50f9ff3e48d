"""Writing the tables of an experiment: one source, three formats."""

from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.files import write_text
from dmlbench.reporting.captions import caption, missing_runs
from dmlbench.reporting.cells import cells
from dmlbench.reporting.claims import paired_tests
from dmlbench.reporting.experiment_latex import cell_tables, test_table
from dmlbench.reporting.latex import latex
from dmlbench.reporting.markdown import markdown
from dmlbench.reporting.stamped import write_csv


def write_tables(plan: Plan, experiment: str) -> None:
    """Write the experiment's table as .tex, .csv (the long form) and .md, and its tests as .csv."""
    name = plan.benchmark.name
    plan.check_experiment(experiment)
    metrics = pd.read_parquet(paths.summary(name, "metrics"))
    ledger = pd.read_csv(paths.ledger(name), keep_default_na=False)
    long, tests = cells(plan, experiment, metrics), paired_tests(plan, experiment, metrics)
    gaps = missing_runs(plan, experiment, ledger)
    write_csv(Path(paths.table(name, experiment, "csv")), long)
    write_csv(Path(paths.tests(name, experiment)), tests)
    foot = caption(plan, experiment, long, gaps)
    text = markdown(plan, experiment, long, tests, foot)
    write_text(Path(paths.table(name, experiment, "md")), text)
    tables = [*cell_tables(plan, experiment, long, foot)]
    tables += test_table(plan, experiment, tests, gaps)
    write_text(Path(paths.table(name, experiment, "tex")), latex(tables))
