"""What Snakemake does before the first job of a call and after the last one."""

import shutil

from dmlbench.workflow import at_work, slurm
from dmlbench.workflow.config_source import claim
from dmlbench.workflow.preflight import problems
from dmlbench.workflow.job_records import other_embeddings, vouches

RUN_FOLDERS = {RUN.format(**run.__dict__): run for run in PLAN.runs.values()}


def print_results():
    """Print the places of the results that are made, the report last."""
    made = []
    for name in BENCHMARK.experiments:
        made.append(("table:  ", paths.table(NAME, name, "md"), " (.tex, .csv)"))
    for name in paths.OVERVIEWS:
        made.append(("table:  ", paths.table(NAME, name, "md"), " (.tex, .csv)"))
    for file in FIGURES:
        if file.endswith(".pdf"):
            made.append(("figure: ", file, " (.png)"))
    for what, file, others in [*made, ("report: ", REPORT, "")]:
        if os.path.exists(file):
            print(f"{what}{file}{others}")


def outputs_here():
    """The outputs of rules that are here, for the runs of this config."""
    patterns = [output for rule in workflow.rules for output in rule.output]
    stores = {prepared_index(run, paths.PREPARED) for run in PLAN.all_runs.values()}
    features = {
        os.path.dirname(PLAN.features_file(run) or "") for run in PLAN.runs.values()
    }
    for top in (paths.results(NAME), *stores, *filter(None, features)):
        for folder, _, files in os.walk(top):
            for file in (f"{folder}/{name}" for name in files):
                if any(pattern.match(file) for pattern in patterns):
                    yield file


def is_trained(file):
    """Whether a training's own record says that a file is what the config asks for."""
    run = RUN_FOLDERS.get(os.path.dirname(file))
    if run is None:
        return False
    return vouches(Path(file), PLAN.fingerprint(run), code_of_training(run))


def unusable(file, why):
    return f"{file}: {why}; results are read and written there"


def begin_work():
    """Look at other Snakemakes of this folder, and at what a killed one has left."""
    try:
        for line in at_work.begin(NAME):
            print(line, file=sys.stderr)
    except OSError as error:
        refuse([unusable(error.filename, error.strerror)])


def settle_origins():
    """Give all files that are here the records and times of what made them."""
    for folder in ("results", paths.results(NAME)):
        if os.path.lexists(folder) and not os.path.isdir(folder):
            refuse([unusable(folder, "is no folder")])
    raw = [file for dataset in PLAN.datasets for file in PLAN.raw_archives(dataset)]
    here = filter(os.path.exists, raw)
    try:
        settle(Path(paths.origins(NAME)), outputs_here(), here, is_trained)
    except UserError as error:
        refuse([error])
    except OSError as error:
        refuse([unusable(error.filename, error.strerror)])


def write_config():
    """Write the config and its plan, and have jobs read these: the user's file may change."""
    try:
        files = [os.path.relpath(file) for file in workflow.configfiles]
        claim(BENCHMARK, files)
        write_plan(PLAN, Path(CONFIG).parent)
        if RESOURCES.train.runs_per_job > 1:
            bundles.write_bundles(BUNDLES_FILE, BUNDLES)
    except UserError as error:
        refuse([error])
    except OSError as error:
        refuse([unusable(error.filename, error.strerror)])
    # What Snakemake gives to jobs as --configfiles.
    workflow.config_settings.configfiles = [Path(CONFIG).absolute()]


def requests(names):
    """Name, resources on the last try, and threads of the rules of these names."""
    tries = 1 + workflow.execution_settings.retries
    # A job of several runs asks for what that of one does.
    names = {SHARED[name][0] if name in SHARED else name for name in names}
    for each in workflow.rules:
        if each.name in names and not each.norun and not workflow.is_local(each):
            asks = each.expand_resources({}, [], tries)
            yield each.name, asks, asks["_cores"]


def before_jobs(logs):
    """Check the cluster and the stored results, and refuse to start if something is wrong."""
    on_slurm = workflow.executor_plugin.name == "slurm"
    jobs = list(workflow.dag.needrun_jobs())
    names = {job.rule.name for job in jobs}
    only_preflight = names == {"preflight"}
    try:
        if on_slurm:
            asked = {rule.name for rule in workflow.rules} if only_preflight else names
            if wrong := list(problems(requests(asked), Path(paths.results(NAME)))):
                refuse(wrong)
        if only_preflight:
            return
        refuse_partial_of_nothing(names)
        if "rescore" in names:
            refuse_without_embeddings()
            refuse_other_embeddings()
        refuse_to_train_again(jobs)
        # Its jobs may also be there where this one gives none to Slurm.
        if on_slurm or shutil.which("squeue"):
            refuse_beside_leftovers()
        if on_slurm:
            slurm.record_head(Path(paths.head(NAME)), logs)
        # No job is left that could delete what was put back.
        forget_kept_runs()
        record_each_run()
    except UserError as error:
        refuse([error])
    if on_slurm:
        slurm.notice_preempted_jobs()


def record_each_run():
    """Have Snakemake record the runs of a bundle as if each had had a job of its own.

    Then nothing is made again where another call has them in other bundles, or in none.
    """
    persistence, dag = workflow.persistence, workflow.dag
    finished = persistence.finished

    async def finished_runs(job):
        if job.rule.name not in SHARED:
            return await finished(job)
        step, runs = SHARED[job.rule.name]
        for run in runs:
            names = dict(as_wildcards(run).items())
            single = await dag.new_job(workflow.get_rule(step), wildcards_dict=names)
            dag._jobid[single] = dag.jobid(job)
            await finished(single)

    persistence.finished = finished_runs


def forget_kept_runs():
    """Remove the second names that bundles gave to the files of finished runs."""
    for run in PLAN.runs.values():
        bundles.forget(PLAN, run)


def refuse_beside_leftovers():
    """Refuse to start while jobs of another Snakemake of this config wait or run."""
    before = slurm.ended_head(Path(paths.head(NAME)))
    if before and (left := slurm.leftovers(before)):
        raise UserError(
            f"{len(left)} job(s) of a Snakemake that is gone still wait or run; `make resume` "
            "cancels them and goes on (docs/cluster.md)"
        )


def refuse_without_embeddings():
    """Refuse to measure what is not stored: Snakemake would say that all tables are made."""
    files = [file for run in measured_runs() for file in embeddings_of_run(run)]
    if missing := [file for file in files if not os.path.exists(file)]:
        raise UserError(
            f"{len(missing)} stored embeddings are not here, such as {missing[0]}; only what is "
            "stored can be measured anew: fetch it (dvc pull), or have all made by the target `all`"
        )


def refuse_partial_of_nothing(names):
    """Refuse to make tables of the runs that are there where none is: they train nothing."""
    if BENCHMARK.partial and "collect" in names and not measured_runs():
        raise UserError(
            f"partial: true makes tables and figures of the runs that are there, and none of {NAME} "
            "is; leave partial out to train them"
        )


def refuse_other_embeddings():
    """Refuse to measure anew what is not what was measured: the numbers would be of another model."""
    measured = filter(os.path.exists, run_files(paths.METRICS_FILE))
    folders = [os.path.dirname(file) for file in measured]
    files = [f"{at}/{file}" for at in folders for file in other_embeddings(Path(at))]
    if files:
        raise UserError(
            f"{len(files)} stored embeddings are not those that their metrics.json was measured on, "
            f"such as {files[0]}; delete them, and have all made by the target `all`"
        )


def refuse_to_train_again(jobs):
    """Refuse to train finished runs anew only because their images are to be prepared."""
    again = [
        job
        for job in jobs
        if job.rule.name == "train"
        and workflow.dag.reason(job).updated_input_run
        and not workflow.dag.reason(job).forced
        and is_trained(job.output[0])
    ]
    if again:
        raise UserError(
            f"{len(again)} finished run(s) would be trained again, as their images are to be "
            "prepared first: run `snakemake -c2 datasets` with the same config, then this again; "
            "runs whose images come out the same are left alone"
        )
