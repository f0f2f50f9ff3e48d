"""dmlbench: a benchmark pipeline for deep metric learning."""

__version__ = "0.1.0"

#: Major.Minor of what is measured and compared; results of two versions are never put into one
#: table. A changed rule or metric raises Minor, an incomparable one Major (docs/protocol.md).
BENCHMARK_VERSION = "1.2"

#: Stands on every table, figure and page.
STAMP = f"Benchmark version {BENCHMARK_VERSION}."
