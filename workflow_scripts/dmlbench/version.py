"""The version of what is measured and compared; docs/protocol.md says what raises it."""

#: Major.Minor. Results of two versions are never put into one table. Code, rules and this number
#: change together: a changed rule or metric raises Minor, an incomparable one Major.
BENCHMARK_VERSION = "1.0"

#: Stands on every table, figure and page.
STAMP = f"Benchmark version {BENCHMARK_VERSION}."
