"""Writing numbers as CSV, with the benchmark version that they are of."""

from pathlib import Path

import pandas as pd

from dmlbench.files import replacing
from dmlbench.version import BENCHMARK_VERSION


def write_csv(path: Path, table: pd.DataFrame, float_format: str = "%.6f") -> None:
    """Write a table in long form, stamped with the benchmark version."""
    with replacing(path) as temporary:
        stamped = table.assign(benchmark_version=BENCHMARK_VERSION)
        stamped.to_csv(temporary, index=False, float_format=float_format)
