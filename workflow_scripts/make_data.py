#!/usr/bin/env python
"""Fetch, prepare and show one dataset with Snakemake: what `make data` runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import yaml

from dmlbench import cli, paths
from dmlbench.config import read_config, resolve_config
from dmlbench.config.read_yaml import merge
from dmlbench.config.recipe import Recipe
from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import entries
from dmlbench.plugins.messages import nearest


def main(args) -> None:
    """Run Snakemake up to the summary of ``args.dataset``, then print it."""
    config = read_config(args.config)
    given = data_section(args.data, args.mirror)
    if given and isinstance(config, dict):
        config["data"] = merge(config.get("data") or {}, given)
    plan = resolve_config(config, str(args.config))
    stores = list(get_args(Recipe.model_fields["store"].annotation))
    check_name("dataset", args.dataset, [*entries("dataset"), *plan.benchmark.datasets])
    check_name("store", args.store, stores)
    summary = paths.local(paths.DATA_SUMMARY, dataset=args.dataset, store=args.store)
    # All downloads are tried, so that everything that is missing is told at once.
    command = [sys.executable, "-m", "snakemake", f"-c{args.cores}", str(summary), "--keep-going"]
    command += ["--configfile", str(args.config), *(["-n"] if args.dry_run else [])]
    # As JSON, which is YAML: no comma or space of a path is taken for more than it is.
    command += ["--config", f"data={json.dumps(given)}"] if given else []
    if code := subprocess.run(command).returncode:
        sys.exit(code)
    if not args.dry_run:
        print(summary.read_text(encoding="utf-8"))


def check_name(what: str, name: str, valid: list[str]) -> None:
    """Raise a ConfigError where ``name`` is none of ``valid``."""
    if name not in valid:
        raise ConfigError(f"there is no {what} '{name}'{nearest(name, valid)}")


def data_section(text: str, mirror: str) -> dict:
    """The config's ``data`` section: ``text`` is its keys as YAML, with or without braces.

    Raises:
        ConfigError: ``text`` holds no keys.
    """
    text = text.strip()
    try:
        section = yaml.safe_load(text if text.startswith("{") else f"{{{text}}}")
    except yaml.YAMLError as error:
        reason = " ".join(str(getattr(error, "problem", "") or error).split())
        raise ConfigError(f"DATA='{text}': no keys of the section data ({reason})") from None
    return section | ({"mirror": mirror} if mirror else {})


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--dataset", required=True, help="such as omniglot")
    parser.add_argument("--store", default="original", help="which pixels")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file")
    parser.add_argument("--mirror", default="", help="folder or URL tried before upstream")
    parser.add_argument("--data", default="", help="YAML: more keys of the config's section data")
    parser.add_argument("--cores", type=int, default=2, help="for Snakemake")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    cli.run(main, parser)
