"""Tables over all experiments: the leaderboard and the cost."""

from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.files import write_text
from dmlbench.reporting.captions import missing_runs, partial
from dmlbench.reporting.cost import cost, cost_table
from dmlbench.reporting.formats import markdown_section
from dmlbench.reporting.latex import latex
from dmlbench.reporting.leaderboard import leaderboard, leaderboard_tables
from dmlbench.reporting.stamped import write_csv
from dmlbench.version import STAMP


def write_overview(plan: Plan, which: str) -> None:
    """Write the leaderboard or the cost table as .tex, .csv (the long form) and .md."""
    name = plan.benchmark.name

    def collected(table: str) -> pd.DataFrame:
        return pd.read_parquet(paths.summary(name, table))

    ledger = pd.read_csv(paths.ledger(name), keep_default_na=False)
    foot = f"{partial(missing_runs(plan, None, ledger))} {STAMP}".strip()
    if which == "leaderboard":
        long = leaderboard(plan, collected("metrics"))
        title, tables = "Leaderboard", leaderboard_tables(long, foot)
    else:
        long = cost(plan, collected("history"), collected("runs"))
        title, tables = "Cost of training", [cost_table(long, foot)]
    write_csv(Path(paths.table(name, which, "csv")), long)
    write_text(Path(paths.table(name, which, "tex")), latex(tables))
    text = "\n".join([f"## {title}", "", *map(markdown_section, tables)])
    write_text(Path(paths.table(name, which, "md")), text)
