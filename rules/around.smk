"""What is done before the jobs of a call, and after them."""

from dmlbench.cluster import head
from dmlbench.cluster.preflight import problems
from dmlbench.cluster.requests import request_of
from dmlbench.origins import settle
from dmlbench.records import vouches

RUN_FOLDERS = {RUN.format(**run.__dict__): run for run in PLAN.runs.values()}


def print_results():
    """Say where the results are, as far as they are made, the report last."""
    made = [
        ("table:  ", THEORY["md"], " (.tex, .csv)"),
        ("figure: ", THEORY["pdf"], " (.png)"),
    ]
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
    stores = {prepared_index(run, paths.PREPARED) for run in PLAN.runs.values()}
    for top in (paths.results(NAME), *stores):
        for folder, _, files in os.walk(top):
            for file in (f"{folder}/{name}" for name in files):
                if any(pattern.match(file) for pattern in patterns):
                    yield file


def is_trained(file):
    """Whether a training's own record says that a file is what the config asks for."""
    run = RUN_FOLDERS.get(os.path.dirname(file))
    if run is None:
        return False
    code = provenance.training_code(run.dataset, PLAN.classes(run))
    return vouches(Path(file), PLAN.fingerprint(run), code)


def settle_origins():
    """Give all files that are here the records and times of what made them."""
    raw = [file for dataset in PLAN.datasets for file in raw_archives(PLAN, dataset)]
    here = filter(os.path.exists, raw)
    try:
        settle(Path(paths.origins(NAME)), outputs_here(), here, is_trained)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def requests(names):
    """What rules of these names ask for, on their last try."""
    tries = 1 + workflow.execution_settings.retries
    for each in workflow.rules:
        if each.name in names and not each.norun and not workflow.is_local(each):
            asks = each.expand_resources({}, [], tries)
            yield request_of(each.name, asks, asks["_cores"])


def refuse(wrong):
    """Leave before any job is given out."""
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def before_jobs(logs):
    """Say what would go wrong on the cluster, and that no other Snakemake has jobs there."""
    if workflow.executor_plugin.name != "slurm":
        return
    file = Path(paths.head(NAME))
    names = {job.rule.name for job in workflow.dag.needrun_jobs()}
    only_asked = names == {"preflight"}
    if only_asked:
        names = {rule.name for rule in workflow.rules}
    if wrong := list(problems(requests(names), file.parent)):
        refuse(wrong)
    if only_asked:
        return
    try:
        jobs = head.ended_head(file)
        if jobs and (left := head.leftovers(jobs)):
            raise UserError(
                f"{len(left)} job(s) of a Snakemake that is gone still wait or run; `make resume` "
                "cancels them and goes on (docs/cluster.md)"
            )
        head.record(file, logs)
    except UserError as error:
        refuse([error])
    # Imported only here: the plugin asks Slurm for its version when it is.
    from dmlbench.cluster.plugin import notice_preempted_jobs

    notice_preempted_jobs()
