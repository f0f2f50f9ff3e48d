"""What was collected of all runs, and the tables made of it, read for the steps after."""

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.files import AGAIN, read_table


def read_summary(plan: Plan, table: str) -> pd.DataFrame:
    """A collected table; a DataError where it is damaged."""
    return read_table(paths.summary(plan.benchmark.name, table), AGAIN)


def read_ledger(plan: Plan) -> pd.DataFrame:
    """The state of every run; a DataError where the file is damaged."""
    return read_table(paths.ledger(plan.benchmark.name), AGAIN, keep_default_na=False)


def read_printed(plan: Plan, experiment: str) -> pd.DataFrame:
    """The table of an experiment in long form; a DataError where the file is damaged."""
    return read_table(paths.table(plan.benchmark.name, experiment, "csv"), AGAIN)
