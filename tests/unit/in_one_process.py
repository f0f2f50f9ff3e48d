"""The steps of the pipeline one after the other in this process, as the rules call them."""

import importlib.util
import signal
from argparse import Namespace
from pathlib import Path
from types import ModuleType

from conftest import SCRIPTS

from dmlbench import paths
from dmlbench.config import Plan, resolve_config
from dmlbench.config.load import write_plan
from dmlbench.reporting.figures.critical_difference import same_methods

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def script(name: str) -> ModuleType:
    """One of the workflow's scripts as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DATA, PREPARE, TRAIN, EMBED, MEASURE, CHECK, REPORT = map(
    script, ("data", "prepare", "train", "embed", "measure", "check", "report")
)


def run_all(config: dict, figures: bool = True, done: float = 1.0) -> Plan:
    """Make tables, pages and figures of a config below the working directory.

    A partial config has only a share of its runs ``done``. Whatever a step raises comes through; a
    mistake of the user is a UserError.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        plan = resolve_config(config, "my.yaml")
        results = Path(paths.results(plan.benchmark.name))
        write_plan(plan, results)
        for dataset, store in sorted(
            {(r.dataset, _store(plan, r)) for r in plan.all_runs.values()}
        ):
            prepare(plan, dataset, store)
        runs = list(plan.all_runs.values())
        for run in runs[: max(1, int(done * len(runs)))] if plan.benchmark.partial else runs:
            do_run(plan, run.id, results / paths.CONFIG_FILE)
        report(plan, results, figures)
        return plan
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _store(plan: Plan, run) -> str:
    return plan.recipes[run.recipe]["store"]


def prepare(plan: Plan, dataset: str, store: str) -> None:
    """Rules prepare, duplicates and summarise of an own folder or table."""
    out = paths.local(paths.PREPARED, dataset=dataset, store=store)
    own = plan.benchmark.datasets[dataset]
    kind = "table" if hasattr(own, "table") else "folder"
    given = {"table": None, "folder": None} | {kind: own.model_dump_json()}
    PREPARE.main(Namespace(dataset=dataset, store=store, out=out, threads=1, **given))
    found = out / paths.DUPLICATES_FILE
    DATA.duplicates(Namespace(folder=out, out=found, threads=1))
    summary, sheet = (out / Path(p).name for p in (paths.DATA_SUMMARY, paths.CONTACT_SHEET))
    DATA.summarise(Namespace(dataset=dataset, folder=out, out=summary, sheet=sheet))


def do_run(plan: Plan, name: str, config: Path) -> None:
    """Rules train, embed or control, evaluate, project and illustrate of one run."""
    run = plan.run_by_id(name)
    one, several = (
        Namespace(config=config, run=name, pairs=None),
        Namespace(config=config, run=[name]),
    )
    if run.trained:
        TRAIN.main(Namespace(**vars(several), time_budget=None, checkpoint_every=None, wait=1.0))
        EMBED.trained(Namespace(**vars(several), pairs=None))
    else:
        EMBED.control(one)
    MEASURE.evaluate(several)
    if run.trained and run.seed in plan.projected_seeds:
        MEASURE.project(one)
        MEASURE.illustrate(one)


def report(plan: Plan, results: Path, figures: bool) -> None:
    """Rules check, collect, tables, figures and summary."""
    config, name = results / paths.CONFIG_FILE, plan.benchmark.name
    out, ledger = paths.local(paths.check(name)), paths.local(paths.ledger(name))
    CHECK.main(Namespace(config=config, results=results, out=out, ledger=ledger, log=None))
    REPORT.collect(Namespace(config=config))
    for experiment in plan.benchmark.experiments:
        REPORT.tables(Namespace(config=config, overview=None, experiment=experiment))
    for overview in paths.OVERVIEWS:
        REPORT.tables(Namespace(config=config, overview=overview, experiment=None))
    if figures:
        for experiment in plan.benchmark.experiments:
            REPORT.figures(
                Namespace(config=config, overall=False, experiment=experiment, kind=None)
            )
        if same_methods(plan):
            REPORT.figures(Namespace(config=config, overall=True, experiment=None, kind=None))
    REPORT.pages(Namespace(config=config))
