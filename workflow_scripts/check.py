#!/usr/bin/env python
"""Hold a folder of results against the rules of docs/protocol.md; also a stranger's."""

import logging
from pathlib import Path

from dmlbench import BENCHMARK_VERSION, cli, paths
from dmlbench.checking.check import check, refuse, rules, write_check
from dmlbench.checking.ledger import write_ledger
from dmlbench.checking.results import Results, version_of
from dmlbench.config import Plan, load_config
from dmlbench.errors import ConfigError, DataError
from dmlbench.workflow.file_records import altered

log = logging.getLogger("dmlbench.check")


def main(args) -> None:
    """Check ``args.results``; each breach is a line with its rule, run and remedy."""
    plan = load_config(args.config) if args.config else own_plan(args.results)
    results = Results.read(plan, args.results)
    breaches = check(results)
    if args.ledger:
        write_ledger(results.entries, args.ledger)
    if args.out:
        write_check(results, breaches, args.out)
    for dataset, found in results.duplicates().items():
        counts = f"{found['same']:,} with the same pixels, {found['near']:,} more nearly the same"
        told = {"tell": bool(found["same"])}
        log.info("%s: images of the test in training: %s", dataset, counts, extra=told)
    for part, sizes in results.queries():
        if sizes["unmatched"] or sizes["copies"]:
            counts = f"{sizes['unmatched']:,} of {sizes['queries']:,} queries without a match"
            copies = f"{sizes['copies']:,} images that are copies of another query"
            log.info("%s: %s, %s", part, counts, copies, extra={"tell": True})
    refuse(breaches)
    if not args.log:
        # Within the workflow it would refuse what a later job makes anew.
        remedy = "was changed after it was made; run the pipeline again, which makes it anew"
        if changed := altered(args.results, plan.benchmark.name):
            raise DataError("\n".join(f"{file}: {remedy}" for file in changed))
        print(f"{args.results}: {len(results.measured)} runs hold all {len(rules())} rules")


def own_plan(results: Path) -> Plan:
    """The plan of the config that lies with results.

    Raises:
        DataError: There is none, or it is of another version of the benchmark.
    """
    config = results / paths.CONFIG_FILE
    if not config.is_file():
        raise DataError(
            f"{results}: has no {config.name}, so nothing was run here; run the pipeline first, or "
            "fetch results that somebody made (dvc pull) and name their config with --config"
        )
    try:
        return load_config(config)
    except ConfigError:
        version = version_of(results)
        if version in (None, BENCHMARK_VERSION):
            raise
        raise DataError(
            f"{results}: of benchmark version {version}, whose config this version "
            f"{BENCHMARK_VERSION} does not read; check them with the code that made them (run.json "
            "names its commit), or make them anew"
        ) from None


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("results", type=Path, help="folder of results, such as results/mnist")
    parser.add_argument("--config", type=Path, help="their config, if not the folder's config.json")
    parser.add_argument("--out", type=Path, help="write what was checked and found, as JSON")
    parser.add_argument("--ledger", type=Path, help="write the state of every run, as CSV")
    cli.run(main, parser)
