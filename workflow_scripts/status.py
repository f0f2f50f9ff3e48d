#!/usr/bin/env python
"""Say how far a config is: done, running, failed and missing runs of each experiment."""

from dmlbench import cli, paths
from dmlbench.checking.results import MISSING, OK, LedgerEntry, ledger
from dmlbench.config import Plan, load_config
from dmlbench.training.run_lock import holder_of
from dmlbench.workflow.job_records import RUNNING

#: Reasons beyond this many are counted: the ledger has them all.
MOST = 20


def main(args) -> None:
    """Print a line for each experiment, then why runs failed and where their logs are."""
    plan = load_config(args.config)
    entries = {entry.run: with_lock(plan, entry) for entry in ledger(plan)}
    width = max(len(name) for name in [*plan.benchmark.experiments, "experiment"])
    print(f"{'experiment':{width}}  done  running  failed  missing  of")
    for name in plan.benchmark.experiments:
        runs = dict.fromkeys([*plan.experiment_runs(name), *plan.controls[name].values()])
        states = [entries[run].state for run in runs]
        done, running, missing = (states.count(state) for state in (OK, RUNNING, MISSING))
        failed = len(states) - done - running - missing
        print(f"{name:{width}}  {done:4}  {running:7}  {failed:6}  {missing:7}  {len(states)}")
    told = [c for c in entries.values() if c.state not in (OK, MISSING)]
    told.sort(key=lambda entry: entry.state == RUNNING)
    for entry in told[:MOST]:
        reason = f": {entry.reason}" if entry.reason else ""
        log = f"; log: {entry.log}" if entry.log else ""
        print(f"{entry.run.id} {entry.state}{reason}{log}")
    if len(told) > MOST:
        print(f"and {len(told) - MOST} more")


def with_lock(plan: Plan, entry: LedgerEntry) -> LedgerEntry:
    """A run that somebody trains without a log, by hand, is known by its lock."""
    holder = holder_of(plan.checkpoint_folder(entry.run) / paths.LOCK_FILE)
    if entry.state != MISSING or holder is None:
        return entry
    return LedgerEntry(entry.run, RUNNING, f"on {holder['host']}, process {holder['pid']}", "train")


if __name__ == "__main__":
    cli.run(main, cli.config_parser(__doc__))
