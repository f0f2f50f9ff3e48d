#!/usr/bin/env python
"""The small steps of a dataset: its archives, its pairs, and what it holds."""

import json
from pathlib import Path

from dmlbench import cli
from dmlbench.errors import DataError
from dmlbench.files import replacing, write_text


def download(args) -> None:
    """Fetch one archive and verify it."""
    from dmlbench.config.archive_table import archive
    from dmlbench.data.download import download

    own = json.loads(args.files or "{}").get(args.archive)
    pin = json.loads(args.checksums or "{}").get(args.archive)
    wanted = archive(args.source, args.archive).pinned(pin)
    download(wanted, args.out, args.mirror or None, own)


def pairs(args) -> None:
    """Turn a dataset's files of pairs into image ids, and mark who was trained on."""
    import pandas as pd

    from dmlbench.data.dataset import get_dataset
    from dmlbench.data.verification_pairs import all_pairs

    files = {path.name: path for path in args.raw}
    wanted = get_dataset(args.dataset).facts.pairs
    if missing := sorted(set(wanted.values()) - set(files)):
        raise DataError(f"{args.dataset} needs {', '.join(missing)}; give them with --raw")
    protocols = {protocol: files[name] for protocol, name in wanted.items()}
    with replacing(args.out) as temporary:
        all_pairs(protocols, pd.read_parquet(args.index)).to_parquet(temporary, index=False)


def summarise(args) -> None:
    """Count what a prepared dataset holds, and draw some of its images."""
    from dmlbench.data.store import ImageStore
    from dmlbench.data.summary import contact_sheet, summarise

    store = ImageStore(args.folder)
    with replacing(args.sheet) as temporary:
        contact_sheet(args.dataset, store).save(temporary)
    write_text(args.out, f"{summarise(args.dataset, store.index)}\nimages: {args.sheet}\n")


if __name__ == "__main__":
    steps = cli.Steps(__doc__)
    step = steps.add(download, cli.parser)
    step.add_argument("--source", required=True, help="such as mnist")
    step.add_argument("--archive", required=True, help="file name of the archive")
    step.add_argument("--mirror", help="folder or URL tried before upstream")
    step.add_argument("--files", help="JSON: path or URL of single archives, tried first")
    step.add_argument("--checksums", help="JSON: sha256 of archives that have no published one")
    step.add_argument("--out", type=Path, required=True, help="where to put it")
    step = steps.add(pairs, cli.parser)
    step.add_argument("--dataset", required=True, help="such as lfw")
    step.add_argument("--index", type=Path, required=True, help="its prepared index")
    step.add_argument("--raw", type=Path, nargs="+", required=True, help="its archives")
    step.add_argument("--out", type=Path, required=True, help="the pairs, as Parquet")
    step = steps.add(summarise, cli.parser)
    step.add_argument("--dataset", required=True, help="such as mnist_even_odd")
    step.add_argument("--folder", type=Path, required=True, help="where it was prepared")
    step.add_argument("--out", type=Path, required=True, help="the counts, as text")
    step.add_argument("--sheet", type=Path, required=True, help="the images, as PNG")
    steps.run()
