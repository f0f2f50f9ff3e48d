#!/usr/bin/env python
"""Simulate free embeddings under label noise, with EPS and without (EPS section 4)."""

from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.files import replacing


def main(args) -> None:
    """Write ``results/<name>/theory/collapse.parquet``."""
    from dmlbench.theory.simulate import simulate
    from dmlbench.training.device import make_deterministic

    benchmark = load_config(args.config).benchmark
    make_deterministic(benchmark.resources.simulate.threads)
    table = simulate(benchmark.theory)
    with replacing(Path(paths.theory(benchmark.name, "collapse.parquet"))) as temporary:
        table.to_parquet(temporary, index=False)


if __name__ == "__main__":
    cli.run(main, cli.config_parser(__doc__))
