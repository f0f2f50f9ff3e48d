#!/usr/bin/env python
"""Fetch one archive and verify it."""

import json
from pathlib import Path

from dmlbench import cli
from dmlbench.data.archives import archive
from dmlbench.data.download import download


def main(args) -> None:
    """Fetch ``args.archive`` of ``args.source`` to ``args.out``."""
    own = json.loads(args.files or "{}").get(args.archive)
    pin = json.loads(args.checksums or "{}").get(args.archive)
    wanted = archive(args.source, args.archive).pinned(pin)
    download(wanted, args.out, args.mirror or None, own)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--source", required=True, help="such as mnist")
    parser.add_argument("--archive", required=True, help="file name of the archive")
    parser.add_argument("--mirror", help="folder or URL tried before upstream")
    parser.add_argument("--files", help="JSON: path or URL of single archives, tried first")
    parser.add_argument("--checksums", help="JSON: sha256 of archives that have no published one")
    parser.add_argument("--out", type=Path, required=True, help="where to put it")
    cli.run(main, parser)
