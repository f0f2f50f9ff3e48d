#!/usr/bin/env python
"""The small steps of a dataset: its archives, its pairs, what it holds, and all of them."""

import json
import sys
from pathlib import Path
from typing import get_args

from dmlbench import cli
from dmlbench.errors import ConfigError, DataError
from dmlbench.files import read_parquet, replacing, write_text
from dmlbench.records import read_table, write_table


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
    from dmlbench.data.dataset import get_dataset
    from dmlbench.data.store import content_hash
    from dmlbench.data.verification_pairs import all_pairs

    files = {path.name: path for path in args.raw}
    wanted = get_dataset(args.dataset).facts.views
    if missing := sorted(set(wanted.values()) - set(files)):
        raise DataError(f"{args.dataset} needs {', '.join(missing)}; give them with --raw")
    views = {view: files[name] for view, name in wanted.items()}
    index = read_parquet(args.index)
    write_table(args.out, all_pairs(views, index), content_hash(index))


def duplicates(args) -> None:
    """Look for images of the test that training has too: the same, or nearly."""
    from dmlbench.data.duplicates import find_duplicates
    from dmlbench.data.store import ImageStore, content_hash

    store = ImageStore(args.folder)
    write_table(args.out, find_duplicates(store, args.threads), content_hash(store.index))


def summarise(args) -> None:
    """Count what a prepared dataset holds, and draw some of its images."""
    from dmlbench import paths
    from dmlbench.data.store import ImageStore, content_hash
    from dmlbench.data.summary import contact_sheet, summarise

    store = ImageStore(args.folder)
    with replacing(args.sheet) as temporary:
        contact_sheet(args.dataset, store).save(temporary)
    found = read_table(args.folder / paths.DUPLICATES_FILE, content_hash(store.index))
    write_text(args.out, f"{summarise(args.dataset, store.index, found)}\nimages: {args.sheet}\n")


def make(args) -> None:
    """Fetch, prepare and show one dataset with Snakemake: what `make data` runs."""
    from snakemake.utils import update_config

    from dmlbench import paths
    from dmlbench.config import read_config, resolve_config
    from dmlbench.config.recipe import Recipe
    from dmlbench.plugins.entries import entries
    from dmlbench.plugins.messages import nearest
    from dmlbench.workflow.snakemake_jobs import run_or_leave

    config = read_config(args.config)
    given = data_section(args.data) | ({"mirror": args.mirror} if args.mirror else {})
    if given and isinstance(config, dict):
        update_config(config, {"data": given})
    plan = resolve_config(config, str(args.config))
    datasets = [*entries("dataset"), *plan.benchmark.datasets]
    stores = list(get_args(Recipe.model_fields["store"].annotation))
    for what, name, valid in (("dataset", args.dataset, datasets), ("store", args.store, stores)):
        if name not in valid:
            raise ConfigError(f"there is no {what} '{name}'{nearest(name, valid)}")
    summary = paths.local(paths.DATA_SUMMARY, dataset=args.dataset, store=args.store)
    # All downloads are tried, so that everything that is missing is told at once.
    command = [sys.executable, "-m", "snakemake", f"-c{args.cores}", str(summary), "--keep-going"]
    command += ["--configfile", str(args.config)]
    # As JSON, which is YAML: no comma or space of a path is taken for more than it is.
    command += ["--config", f"data={json.dumps(given)}"] if given else []
    run_or_leave(command)
    print(summary.read_text(encoding="utf-8"))


def data_section(text: str) -> dict:
    """The keys of the config's section ``data``, given as YAML with or without braces."""
    from ruamel.yaml.error import YAMLError

    from dmlbench.config.read_yaml import parse_yaml

    text = text.strip()
    try:
        return parse_yaml(text if text.startswith("{") else f"{{{text}}}")
    except YAMLError as error:
        reason = " ".join(str(getattr(error, "problem", "") or error).split())
        raise ConfigError(f"DATA='{text}': no keys of the section data ({reason})") from None


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
    step = steps.add(duplicates, cli.parser)
    step.add_argument("--folder", type=Path, required=True, help="where the dataset was prepared")
    step.add_argument("--threads", type=int, default=1, help="images hashed at a time")
    step.add_argument("--out", type=Path, required=True, help="the images, as Parquet")
    step = steps.add(summarise, cli.parser)
    step.add_argument("--dataset", required=True, help="such as mnist_even_odd")
    step.add_argument("--folder", type=Path, required=True, help="where it was prepared")
    step.add_argument("--out", type=Path, required=True, help="the counts, as text")
    step.add_argument("--sheet", type=Path, required=True, help="the images, as PNG")
    step = steps.add(make, cli.parser)
    step.add_argument("--dataset", required=True, help="such as omniglot")
    step.add_argument("--store", default="original", help="which pixels")
    step.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file")
    step.add_argument("--mirror", help="folder or URL tried before upstream")
    step.add_argument("--data", default="", help="YAML: more keys of the config's section data")
    step.add_argument("--cores", type=int, default=2, help="for Snakemake")
    steps.run()
