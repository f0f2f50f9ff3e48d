"""What was collected of all runs, and the tables made of it, read for the steps after.

Each raises a DataError where the file is damaged, or what was collected is of another config.
"""

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.records import read_table
from dmlbench.reporting.formats import read_csv


def read_summary(plan: Plan, table: str) -> pd.DataFrame:
    """A collected table."""
    return read_table(paths.summary(plan.benchmark.name, table), plan.fingerprint_of_all())


def read_ledger(plan: Plan) -> pd.DataFrame:
    """The state of every run."""
    return read_csv(paths.ledger(plan.benchmark.name), absent=())


def read_printed(plan: Plan, experiment: str) -> pd.DataFrame:
    """The table of an experiment in long form."""
    return read_csv(paths.table(plan.benchmark.name, experiment, "csv"))
