#!/usr/bin/env python
"""Print what a prepared dataset holds, and draw some of its images."""

from pathlib import Path

from dmlbench import cli
from dmlbench.data.store import ImageStore
from dmlbench.data.summary import contact_sheet, summarise
from dmlbench.files import replacing, write_text


def main(args) -> None:
    """Write the counts to ``args.out`` and the images to ``args.sheet``."""
    store = ImageStore(args.folder)
    with replacing(args.sheet) as temporary:
        contact_sheet(args.dataset, store).save(temporary)
    write_text(args.out, f"{summarise(args.dataset, store.index)}\nimages: {args.sheet}\n")


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="such as mnist_even_odd")
    parser.add_argument("--folder", type=Path, required=True, help="where it was prepared")
    parser.add_argument("--out", type=Path, required=True, help="the counts, as text")
    parser.add_argument("--sheet", type=Path, required=True, help="the images, as PNG")
    cli.run(main, parser)
