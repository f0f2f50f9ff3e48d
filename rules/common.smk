"""What rules share: the plan made from the config, and where things are."""

import gc
import os
import re
import sys
from functools import cache
from pathlib import Path
from shlex import join, quote
from typing import get_args

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from snakemake.iocontainers import Wildcards

from dmlbench import paths
from dmlbench.workflow import bundles, provenance
from dmlbench.config import NO_SAMPLER, resolve_config
from dmlbench.config.load import read_plan, write_plan
from dmlbench.config.read_yaml import merge_configs
from dmlbench.plugins.entries import entries
from dmlbench.config.archive_table import all_archives
from dmlbench.config.recipe import Recipe
from dmlbench.config.own_datasets import own_content
from dmlbench.config.frozen import network_name, uses_features
from dmlbench.errors import UserError
from dmlbench.files import local_path
from dmlbench.reporting.figures import check_file_names, figure_files, figures, planned
from dmlbench.reporting.figures.critical_difference import same_methods
from dmlbench.workflow.config_source import check_owner
from dmlbench.workflow.file_records import count_as_made, settle
from dmlbench.workflow.snakemake_jobs import set_job_environment

# A graph of thousands of jobs is millions of objects that live to the end; looking through them for
# garbage over and over takes a good part of the time.
gc.set_threshold(100_000, 50, 100)

# Relative, so that the commands Snakemake prints can be typed again, and moving the repository
# changes no parameter.
SCRIPTS = os.path.relpath(Path(workflow.basedir) / "workflow_scripts")
ENVIRONMENT = Path(workflow.basedir) / "workflow_scripts" / "envs" / "dmlbench.yaml"


def refuse(wrong):
    """Print the reasons and leave before the first job."""
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def make_or_read_plan():
    files = [os.path.relpath(file) for file in workflow.configfiles]
    try:
        if not workflow.is_main_process:
            # A job is given the config that was stored when Snakemake started (hooks.smk).
            return read_plan(Path(files[0]))
        # Snakemake's own `config` is YAML 1.1, with the last of two equal keys.
        config = merge_configs(files, workflow.config_settings.config)
        plan = resolve_config(config, ", ".join(files))
        check_file_names(plan)
        check_owner(plan.benchmark, files)
        return plan
    except UserError as error:
        refuse(str(error).splitlines())


PLAN = make_or_read_plan()
BENCHMARK = PLAN.benchmark
NAME = BENCHMARK.name
# Jobs inherit the places of archives, which the stored config does not name.
set_job_environment(BENCHMARK.data if workflow.is_main_process else None)
RESOURCES = BENCHMARK.resources
CONFIG = paths.resolved_config(NAME)
BUNDLES_FILE = Path(paths.bundles(NAME))
PROJECTION = BENCHMARK.projection
# The frozen backbones whose features are stored.
NETWORKS = sorted({network_name(r) for r in PLAN.recipes.values() if uses_features(r)})
# What is embedded of every training.
MEASURED = (
    PLAN.measured(next(iter(PLAN.runs.values()))) if PLAN.runs else BENCHMARK.selections
)
RUN = paths.run(NAME)
REPORT = paths.report(NAME)
SUMMARY = paths.summary_page(NAME)
LOGS = f"{paths.results(NAME)}/logs"
BENCHMARKS = f"{paths.results(NAME)}/benchmarks"
# All there are, not only the plan's: any of them can be prepared and looked at.
DATASETS = [*entries("dataset"), *BENCHMARK.datasets]
ARCHIVES = all_archives()
FIGURES = figure_files(PLAN)


def one_of(values):
    """A wildcard constraint: exactly these, or nothing where there are none."""
    return "|".join(sorted(re.escape(str(value)) for value in values)) or "(?!x)x"


def script(step):
    """How a job calls a step: a script, and its step where it has several."""
    name, *rest = step.split()
    return " ".join(["python", quote(f"{SCRIPTS}/{name}.py"), *rest])


def on_config(step):
    """The same for a step that works on this config."""
    return f"{script(step)} --config {quote(CONFIG)}"


def on_run(step):
    """The same for a step that works on one run of it."""
    return f"{on_config(step)} --run {paths.RUN_ID}"


def step_code(step):
    """The hash of a step's code."""
    return provenance.step_code(*step.split())


def asked(rule):
    """What a rule asks of a scheduler, from the config's `resources`; a retry asks for more."""
    need = getattr(RESOURCES, rule)
    where = {"slurm_partition": need.partition} if need.partition else {}
    return {
        "mem_mb": lambda wildcards, attempt: RESOURCES.grown(rule, "mem_mb", attempt),
        "runtime": lambda wildcards, attempt: RESOURCES.grown(rule, "runtime", attempt),
        "gpu": need.gpu,
        **where,
    }


def ask_as(rule, bundle):
    """Have the rule of a bundle ask for what --set-resources has the rule of one run ask for."""
    overwritten = workflow.resource_settings._parsed_overwrite_resources
    workflow.get_rule(bundle).resources.update(overwritten.get(rule, {}))


def runs_that_share_jobs():
    """The runs to train, to embed and to evaluate in bundles, where several share a job.

    A finished run is in none, so that only what is missing is done.
    """
    size = RESOURCES.train.runs_per_job
    if size == 1:
        return dict.fromkeys(("train", "embed", "evaluate"), ())
    if not workflow.is_main_process:
        return bundles.read_bundles(BUNDLES_FILE, PLAN)
    lacking, missing = set(), {}
    made_by = {
        "train": lambda run: bundles.is_finished(PLAN, run),
        "embed": lambda run: all(map(os.path.exists, embeddings_of_run(run))),
        "evaluate": lambda run: os.path.exists(run_files(paths.METRICS_FILE, [run])[0]),
    }
    for step, is_done in made_by.items():
        # What is trained anew is also embedded and evaluated.
        lacking |= {
            run for run in PLAN.runs.values() if run not in lacking and not is_done(run)
        }
        runs = [run for run in PLAN.runs.values() if run in lacking]
        missing[step] = bundles.make_bundles(PLAN, runs, size)
    return missing


def put_back_kept_runs():
    """Put back what jobs with several runs had finished when they failed or were killed."""
    made = [run for run in PLAN.runs.values() if bundles.put_back(PLAN, run)]
    names = ["run.json", *bundles.output_names(BENCHMARK.selections)]
    count_as_made(file for name in names for file in run_files(name, made))


def bundle_rules(step):
    """The names of the rules that do a step for a bundle of runs each, and the runs."""
    return {f"{step}_bundle_{n}": runs for n, runs in enumerate(BUNDLES[step])}


def as_wildcards(run):
    return Wildcards(fromdict={key: str(value) for key, value in run.__dict__.items()})


def on_bundle(step, runs):
    """How a job calls a step of a bundle."""
    return f"{on_config(step)} --run {' '.join(run.id for run in runs)}"


def run_of(wildcards):
    return PLAN.run_by_id(paths.RUN_ID.format(**wildcards))


def fingerprint(wildcards):
    return PLAN.fingerprint(run_of(wildcards))


def code_of_training(run):
    return provenance.training_code(run.dataset, PLAN.sources(run))


def training_code(wildcards):
    return code_of_training(run_of(wildcards))


def data_origin(wildcards):
    """How the prepare script is told where images come from: archives, or one's own folder."""
    own = BENCHMARK.datasets.get(wildcards.dataset)
    if own:
        kind = "table" if hasattr(own, "table") else "folder"
        return f"--{kind} {quote(own.model_dump_json())}"
    source = PLAN.source_of(wildcards.dataset)
    return f"--source {source}" if source else ""


def content_of_own(wildcards):
    """What a folder or a table holds; archives are known by their checksums."""
    return content_of_dataset(wildcards.dataset)


@cache
def content_of_dataset(dataset):
    """Looked up once: Snakemake asks for a rule's parameters several times."""
    if dataset not in BENCHMARK.datasets:
        return ""
    known = paths.local(paths.OWN_CONTENT, dataset=dataset)
    try:
        return own_content(BENCHMARK.datasets[dataset], known)
    except UserError as error:
        refuse([error])


def pair_files(wildcards):
    source = PLAN.source_of(wildcards.dataset)
    files = PLAN.facts(wildcards.dataset).views.values()
    return [paths.RAW.format(source=source, archive=file) for file in files]


def prepared_index(wildcards, file=paths.INDEX):
    """The index of a run's dataset; the pixels beside it come from the same job."""
    store = PLAN.recipes[wildcards.recipe]["store"]
    return file.format(dataset=wildcards.dataset, store=store)


def network_input(wildcards):
    """What a run's network is given: prepared images, and the features of a frozen backbone.

    Where copies are left out, they are known before hours of training.
    """
    files = [prepared_index(wildcards), PLAN.features_file(wildcards)]
    if BENCHMARK.evaluation.exclude_duplicates:
        files.append(prepared_index(wildcards, paths.DUPLICATES))
    return [str(file) for file in files if file]


def control_input(wildcards):
    """What a control is made from; and vectors that another model made, where it measures those."""
    made = run_of(wildcards).features
    return network_input(wildcards) + (
        [str(local_path(BENCHMARK.features[made].file))] if made else []
    )


def features_index(wildcards):
    store = PLAN.recipe_of_network(wildcards.network)["store"]
    return paths.INDEX.format(dataset=wildcards.dataset, store=store)


def embeddings_of_run(run, parts=BENCHMARK.evaluation.splits):
    files = [paths.embeddings(part, s) for part in parts for s in PLAN.measured(run)]
    return [f"{RUN}/{file}".format(**run.__dict__) for file in files]


def measured_files(wildcards):
    """What the metrics of a run are computed from; verification also takes pairs."""
    run = run_of(wildcards)
    files = [*embeddings_of_run(run), prepared_index(wildcards)]
    files.append(prepared_index(wildcards, paths.DUPLICATES))
    if PLAN.verifies(wildcards.dataset):
        files += embeddings_of_run(run, [paths.OF_PAIRS])
        files.append(prepared_index(wildcards, paths.PAIRS))
    return files


def measured_runs():
    """The runs that tables and figures are made of: all; with `partial`, those measured so far."""
    runs = PLAN.all_runs.values()
    if BENCHMARK.partial:
        done = f"{RUN}/{paths.METRICS_FILE}"
        return [run for run in runs if os.path.exists(done.format(**run.__dict__))]
    return runs


def run_files(file, runs=None):
    """One file of every run, or of some."""
    chosen = PLAN.all_runs.values() if runs is None else runs
    return [f"{RUN}/{file}".format(**run.__dict__) for run in chosen]


def figure_input(experiment):
    """What the figures of an experiment are drawn from."""
    kinds = [figures()[kind] for kind in planned(PLAN, experiment)]
    tables = {paths.summary(NAME, table) for kind in kinds for table in kind.tables}
    files = {pair for kind in kinds for pair in kind.files(PLAN, experiment)}
    there = set(measured_runs())
    return [paths.ledger(NAME), *sorted(tables)] + [
        file
        for run, name in sorted(files)
        if run in there
        for file in run_files(name, [run])
    ]


def shown(file, caption, category, subcategory=None, **labels):
    """A file that Snakemake's report shows."""
    return report(
        file,
        caption=f"report/{caption}.rst",
        category=category,
        subcategory=subcategory,
        labels=labels,
    )


def figure_output(experiment):
    """The files of an experiment's figures; the report shows the PNG."""
    files = {}
    for kind in planned(PLAN, experiment):
        for suffix in figures()[kind].suffixes:
            file = paths.figure(NAME, experiment, kind, suffix)
            if suffix == "png":
                # The caption lies beside the figure, which registers it.
                file = report(
                    file,
                    caption=os.path.abspath(
                        paths.figure(NAME, experiment, kind, "rst")
                    ),
                    category="Figures",
                    subcategory=experiment,
                    labels={"figure": figures()[kind].title},
                )
            files[f"{kind}_{suffix}"] = file
    return files


wildcard_constraints:
    source=one_of({archive.source for archive in ARCHIVES}),
    archive=one_of({archive.file for archive in ARCHIVES}),
    dataset=one_of(DATASETS),
    store=one_of(get_args(Recipe.model_fields["store"].annotation)),
    recipe=one_of(PLAN.recipes),
    loss=one_of([*PLAN.losses, *PLAN.not_trained]),
    sampler=one_of({*PLAN.samplers, NO_SAMPLER}),
    # Thousands of seeds spelled out would stand in every pattern; run_by_id refuses the others.
    seed=r"\d+",
    split=one_of(BENCHMARK.evaluation.splits),
    experiment=one_of(BENCHMARK.experiments),
