"""What rules share: the plan made from the config, and where things are."""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from dmlbench import paths, provenance
from dmlbench.config import resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.errors import UserError
from dmlbench.files import write_text
from dmlbench.interpreter import use_own_interpreter

# Relative, so that the commands Snakemake prints can be typed again, and moving the repository
# changes no parameter.
SCRIPTS = os.path.relpath(Path(workflow.basedir) / "workflow_scripts")
ENVIRONMENT = Path(workflow.basedir) / "workflow_scripts" / "envs" / "dmlbench.yaml"
use_own_interpreter()


def read_plan():
    source = ", ".join(os.path.relpath(file) for file in workflow.configfiles)
    try:
        return resolve_config(dict(config), source)
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


PLAN = read_plan()
BENCHMARK = PLAN.benchmark
NAME = BENCHMARK.name
RESOURCES = BENCHMARK.resources
CONFIG = paths.resolved_config(NAME)
RUN = paths.run(NAME)
REPORT = paths.report(NAME)
SUMMARY = paths.summary_page(NAME)
LOGS = f"{paths.results(NAME)}/logs"
BENCHMARKS = f"{paths.results(NAME)}/benchmarks"
DATASETS = {name: get_dataset(name) for name in PLAN.datasets}
SOURCES = {dataset.source: dataset.archives() for dataset in DATASETS.values()}
FIGURES = ["recall_per_epoch", "embedding"]


def one_of(values):
    """A wildcard constraint: exactly these, or nothing where there are none."""
    return "|".join(sorted(re.escape(str(value)) for value in values)) or "(?!x)x"


def run_of(wildcards):
    return PLAN.runs[paths.RUN_ID.format(**wildcards)]


def fingerprint(wildcards):
    return PLAN.fingerprint(run_of(wildcards))


def training_code(wildcards):
    return provenance.training_code(
        wildcards.dataset, PLAN.losses[wildcards.loss]["type"]
    )


def raw_archives(wildcards):
    dataset = DATASETS[wildcards.dataset]
    return [
        paths.RAW.format(source=dataset.source, archive=file)
        for file in dataset.archives()
    ]


def prepared(pattern):
    """The prepared file of a run's dataset."""

    def path(wildcards):
        store = PLAN.recipes[wildcards.recipe]["store"]
        return pattern.format(dataset=wildcards.dataset, store=store)

    return path


def run_files(file, runs=None):
    """One file of every run, or of some."""
    chosen = PLAN.runs.values() if runs is None else runs
    return [f"{RUN}/{file}".format(**run.__dict__) for run in chosen]


def projected_runs(experiment):
    return [
        run
        for run in PLAN.experiment_runs(experiment)
        if run.seed in BENCHMARK.projection.seeds
    ]


def figure_input(wildcards):
    if wildcards.kind != "embedding":
        return []
    file = paths.projection(BENCHMARK.projection.split)
    return run_files(file, projected_runs(wildcards.experiment))


def print_results():
    """Say where the results are, the report last."""
    for name in BENCHMARK.experiments:
        print(f"table:  {paths.table(NAME, name, 'md')} (.tex, .csv)")
        for kind in FIGURES:
            print(f"figure: {paths.figure(NAME, name, kind, 'pdf')} (.png)")
    print(f"report: {REPORT}")


wildcard_constraints:
    source=one_of(SOURCES),
    archive=one_of(file for files in SOURCES.values() for file in files),
    dataset=one_of(DATASETS),
    store=one_of({recipe["store"] for recipe in PLAN.recipes.values()}),
    recipe=one_of(PLAN.recipes),
    loss=one_of(PLAN.losses),
    sampler=one_of(PLAN.samplers),
    seed=one_of(BENCHMARK.seeds),
    split=one_of(BENCHMARK.evaluation.splits),
    experiment=one_of(BENCHMARK.experiments),
    kind=one_of(FIGURES),
