#!/usr/bin/env python
"""Turn a dataset's files of pairs into image ids, and mark who was trained on."""

from pathlib import Path

import pandas as pd

from dmlbench import cli
from dmlbench.data.dataset import get_dataset
from dmlbench.data.verification_pairs import all_pairs
from dmlbench.errors import DataError
from dmlbench.files import replacing


def main(args) -> None:
    """Write one table of the pairs of all protocols."""
    files = {path.name: path for path in args.raw}
    wanted = get_dataset(args.dataset).pairs
    if missing := sorted(set(wanted.values()) - set(files)):
        raise DataError(f"{args.dataset} needs {', '.join(missing)}; give them with --raw")
    protocols = {protocol: files[name] for protocol, name in wanted.items()}
    with replacing(args.out) as temporary:
        all_pairs(protocols, pd.read_parquet(args.index)).to_parquet(temporary, index=False)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="such as lfw")
    parser.add_argument("--index", type=Path, required=True, help="its prepared index")
    parser.add_argument("--raw", type=Path, nargs="+", required=True, help="its archives")
    parser.add_argument("--out", type=Path, required=True, help="the pairs, as Parquet")
    cli.run(main, parser)
