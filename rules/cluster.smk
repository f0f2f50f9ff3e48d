# Slurm, under --profile slurm: what is looked at before jobs are given out.

from dmlbench.cluster import head
from dmlbench.cluster.preflight import problems
from dmlbench.cluster.requests import request_of


def requests(names):
    """What rules of these names ask for, on their last try."""
    tries = 1 + workflow.execution_settings.retries
    for rule in workflow.rules:
        if rule.name in names and not rule.norun and not workflow.is_local(rule):
            asks = rule.expand_resources({}, [], tries)
            yield request_of(rule.name, asks, asks["_cores"])


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


localrules:
    preflight,


rule preflight:
    message:
        "ready: the cluster can do what the rules ask for"
