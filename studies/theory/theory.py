#!/usr/bin/env python
"""Simulate free embeddings under label noise (EPS section 4): a table and a figure.

70 s on one core: python studies/theory/theory.py
"""

from pathlib import Path

import torch
from pydantic import ValidationError
from show import write_figure, write_tables
from simulation import Settings, simulate

from dmlbench import cli
from dmlbench.config import read_config
from dmlbench.errors import ConfigError
from dmlbench.files import replacing

HERE = Path(__file__).parent


def main(args) -> None:
    """Write every logged step (``collapse.parquet``), the tables and the figure."""
    # Tensors are small: a second thread gains a tenth, and loses minutes where cores are shared.
    torch.set_num_threads(1)
    table = simulate(read_settings(args.config))
    args.out.mkdir(parents=True, exist_ok=True)
    with replacing(args.out / "collapse.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    write_tables(table, args.out)
    write_figure(table, args.out)
    print(f"made: {args.out}/collapse.md (.tex, .csv, .parquet), collapse.pdf (.png)")


def read_settings(file: Path) -> Settings:
    """The settings in a YAML file.

    Raises:
        ConfigError: One line for each mistake.
    """
    try:
        return Settings.model_validate(read_config(file))
    except ValidationError as error:
        found = [(".".join(map(str, e["loc"])), e["msg"], e["input"]) for e in error.errors()]
        lines = [f"{file}: {where}: {what} (got {value})" for where, what, value in found]
        raise ConfigError("\n".join(lines)) from None


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml", help="the settings")
    parser.add_argument("--out", type=Path, default=Path("results/theory"), help="folder")
    cli.run(main, parser)
