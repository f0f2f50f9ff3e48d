#!/usr/bin/env python
"""Turn a dataset's archives into an index and a pixel store."""

import json
from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config.archive_table import archive, archives
from dmlbench.config.own_images import FolderDataset, TableDataset
from dmlbench.data.dataset import get_dataset
from dmlbench.data.decode import STORES
from dmlbench.data.download import verify
from dmlbench.data.folder import own_dataset
from dmlbench.data.prepare import prepare
from dmlbench.errors import ConfigError, DataError


def main(args) -> None:
    """Verify the archives once more, then write index and pixels."""
    if args.threads < 1:
        raise ConfigError(f"--threads must be above 0 (got {args.threads})")
    # Files made from an earlier index would be wrong if this fails.
    for pattern in (paths.DATA_SUMMARY, paths.CONTACT_SHEET, paths.PAIRS, paths.DUPLICATES):
        (args.out / Path(pattern).name).unlink(missing_ok=True)
    for model, given in ((FolderDataset, args.folder), (TableDataset, args.table)):
        if given:
            own = own_dataset(args.dataset, model.model_validate_json(given))
            prepare(own, {}, args.out, args.store, args.threads)
            return
    dataset = get_dataset(args.dataset)
    raw = {path.name: str(path) for path in args.raw}
    source = args.source or next(iter(dataset.facts.sources), "")
    pins = json.loads(args.checksums or "{}")
    if missing := sorted(set(archives(source)) - set(raw)):
        raise DataError(f"{args.dataset} needs {', '.join(missing)}; give them with --raw")
    for path in args.raw:
        if not path.is_file():
            raise DataError(f"{path} is missing; run the download step first")
        # The download checked it against the user's checksum too, where nobody published one.
        verify(path, archive(source, path.name).pinned(pins.get(path.name)))
    prepare(dataset, raw, args.out, args.store, args.threads)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="such as mnist_even_odd")
    parser.add_argument("--source", help="which form its archives have, such as cars196_ims")
    parser.add_argument("--folder", help="of one's own folder: its entry in the config, as JSON")
    parser.add_argument("--table", help="of one's own table: its entry in the config, as JSON")
    parser.add_argument("--raw", type=Path, nargs="*", default=[], help="its archives")
    parser.add_argument("--checksums", help="JSON: sha256 of archives that have no published one")
    parser.add_argument("--store", choices=list(STORES), default="original", help="which pixels")
    parser.add_argument("--threads", type=int, default=1, help="images decoded at a time")
    parser.add_argument("--out", type=Path, required=True, help="folder for index and store")
    cli.run(main, parser)
