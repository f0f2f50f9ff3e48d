# The whole benchmark as a graph of jobs. Which ones there are, the config decides:
#   snakemake -c2 all --configfile configs/demo.yaml
from snakemake.utils import min_version

min_version("9.27")

# A config given on the command line replaces config.yaml; Snakemake would merge the two.
if not workflow.configfiles:

    configfile: "config.yaml"


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/embed.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"
include: "rules/hooks.smk"


rule all:
    default_target: True
    input:
        rules.results.input,
        rules.means.output,
        REPORT,
        # Weights are never kept in git. Without them here, a fresh clone that holds committed tables
        # would count as finished and train nothing.
        run_files(
            paths.model(BENCHMARK.selections[0]),
            [run for run in measured_runs() if run.trained],
        ),
    message:
        "done"


# Asking whether the cluster can do what the rules ask for; nothing else is done then.
localrules:
    preflight,


rule preflight:
    message:
        "ready: the cluster can do what the rules ask for"


# Before Snakemake looks at the files. Jobs on other machines make what they are told to.
if workflow.is_main_process:
    begin_work()
    settle_origins()


onstart:
    before_jobs(log)
    write_config()


onsuccess:
    settle_origins()
    forget_kept_runs()
    print_results()


onerror:
    put_back_kept_runs()
    settle_origins()
