"""What rules share: the plan made from the config, and where things are."""

import gc
import os
import re
import sys
from pathlib import Path
from shlex import quote
from typing import get_args

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from dmlbench import paths, provenance
from dmlbench.config import read_config, resolve_config
from dmlbench.config.catalogue import entries
from dmlbench.config.recipe import Recipe
from dmlbench.data.archives import archives
from dmlbench.config.folders import listing
from dmlbench.data.folder import dataset_of
from dmlbench.errors import UserError
from dmlbench.files import write_text
from dmlbench.job_environment import set_job_environment

# A graph of thousands of jobs is millions of objects that live to the end; looking through them for
# garbage over and over takes a good part of the time.
gc.set_threshold(100_000, 50, 100)

# Relative, so that the commands Snakemake prints can be typed again, and moving the repository
# changes no parameter.
SCRIPTS = os.path.relpath(Path(workflow.basedir) / "workflow_scripts")
ENVIRONMENT = Path(workflow.basedir) / "workflow_scripts" / "envs" / "dmlbench.yaml"


def read_plan():
    source = ", ".join(os.path.relpath(file) for file in workflow.configfiles)
    try:
        # Snakemake keeps the last of two equal keys without a word.
        for file in workflow.configfiles:
            read_config(os.path.relpath(file))
        return resolve_config(dict(config), source)
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


PLAN = read_plan()
BENCHMARK = PLAN.benchmark
NAME = BENCHMARK.name
set_job_environment(BENCHMARK.data)
RESOURCES = BENCHMARK.resources
CONFIG = paths.resolved_config(NAME)
PROJECTION = BENCHMARK.projection
RUN = paths.run(NAME)
REPORT = paths.report(NAME)
SUMMARY = paths.summary_page(NAME)
LOGS = f"{paths.results(NAME)}/logs"
BENCHMARKS = f"{paths.results(NAME)}/benchmarks"
# All there are, not only the plan's: any of them can be prepared and looked at.
DATASETS = {
    name: dataset_of(PLAN, name) for name in (*entries("dataset"), *BENCHMARK.datasets)
}
SOURCES = {
    source: archives(source)
    for dataset in DATASETS.values()
    for source in dataset.sources
}
THEORY = {
    suffix: paths.theory(NAME, f"collapse.{suffix}")
    for suffix in ("tex", "csv", "md", "pdf", "png")
}
FIGURES = ["recall_per_epoch", "embedding"]


def one_of(values):
    """A wildcard constraint: exactly these, or nothing where there are none."""
    return "|".join(sorted(re.escape(str(value)) for value in values)) or "(?!x)x"


def command(script):
    """How a job calls a script of this config."""
    return f"python {quote(f'{SCRIPTS}/{script}.py')} --config {quote(CONFIG)}"


def run_of(wildcards):
    return PLAN.run_by_id(paths.RUN_ID.format(**wildcards))


def fingerprint(wildcards):
    return PLAN.fingerprint(run_of(wildcards))


def training_code(wildcards):
    run = run_of(wildcards)
    return provenance.training_code(run.dataset, PLAN.classes(run))


def source_of(dataset):
    """Where a dataset's archives come from: the config's choice, or the first it knows."""
    return BENCHMARK.data.sources.get(dataset, DATASETS[dataset].sources[0])


def raw_archives(wildcards):
    source = source_of(wildcards.dataset)
    return [paths.RAW.format(source=source, archive=file) for file in archives(source)]


def data_origin(wildcards):
    """How the prepare script is told where images come from: archives, or one's own folder."""
    own = BENCHMARK.datasets.get(wildcards.dataset)
    if own:
        return f"--folder {quote(own.model_dump_json())}"
    return f"--source {source_of(wildcards.dataset)}"


def folder_listing(wildcards):
    """What a folder holds; archives are known by their checksums."""
    own = BENCHMARK.datasets.get(wildcards.dataset)
    return listing(own) if own else ""


def pair_files(wildcards):
    source = source_of(wildcards.dataset)
    files = DATASETS[wildcards.dataset].pairs.values()
    return [paths.RAW.format(source=source, archive=file) for file in files]


def prepared_index(wildcards, file=paths.INDEX):
    """The index of a run's dataset; the pixels beside it come from the same job."""
    store = PLAN.recipes[wildcards.recipe]["store"]
    return file.format(dataset=wildcards.dataset, store=store)


def pairs_of_run(wildcards):
    """What verification takes: the pairs, and embeddings of their images."""
    if not PLAN.verifies(wildcards.dataset):
        return []
    files = [paths.embeddings(paths.OF_PAIRS, s) for s in BENCHMARK.selections]
    embeddings = [f"{RUN}/{file}".format(**wildcards) for file in files]
    return [prepared_index(wildcards, paths.PAIRS), *embeddings]


def run_files(file, runs=None):
    """One file of every run, or of some."""
    chosen = PLAN.runs.values() if runs is None else runs
    return [f"{RUN}/{file}".format(**run.__dict__) for run in chosen]


def projected_runs(experiment):
    return [
        run
        for run in PLAN.experiment_runs(experiment)
        if run.seed in PLAN.projected_seeds
    ]


def figure_input(wildcards):
    if wildcards.kind != "embedding":
        return []
    file = paths.projection(PROJECTION.split)
    return run_files(file, projected_runs(wildcards.experiment))


def print_results():
    """Say where the results are, as far as they are made, the report last."""
    made = [
        ("table:  ", THEORY["md"], " (.tex, .csv)"),
        ("figure: ", THEORY["pdf"], " (.png)"),
    ]
    for name in BENCHMARK.experiments:
        made.append(("table:  ", paths.table(NAME, name, "md"), " (.tex, .csv)"))
        for kind in FIGURES:
            made.append(("figure: ", paths.figure(NAME, name, kind, "pdf"), " (.png)"))
    for what, file, others in [*made, ("report: ", REPORT, "")]:
        if os.path.exists(file):
            print(f"{what}{file}{others}")


wildcard_constraints:
    source=one_of(SOURCES),
    archive=one_of(file for files in SOURCES.values() for file in files),
    dataset=one_of(DATASETS),
    store=one_of(get_args(Recipe.model_fields["store"].annotation)),
    recipe=one_of(PLAN.recipes),
    loss=one_of(PLAN.losses),
    sampler=one_of(PLAN.samplers),
    # Thousands of seeds spelled out would stand in every pattern; run_by_id refuses the others.
    seed=r"\d+",
    split=one_of(BENCHMARK.evaluation.splits),
    experiment=one_of(BENCHMARK.experiments),
    kind=one_of(FIGURES),
