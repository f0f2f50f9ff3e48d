# One training per run. Small ones share a job where the config says so.

# Before it is asked which runs are finished.
if workflow.is_main_process:
    put_back_kept_runs()
BUNDLES = runs_that_share_jobs()
# By the name of the rule for a bundle: the rule for one run, and the runs.
SHARED = {
    name: (step, runs) for step in BUNDLES for name, runs in bundle_rules(step).items()
}


rule train:
    input:
        network_input,
    output:
        record=f"{RUN}/run.json",
        history=f"{RUN}/{paths.HISTORY_FILE}",
        weights=[f"{RUN}/{paths.model(s)}" for s in BENCHMARK.selections],
    log:
        f"{LOGS}/train/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/train/{paths.RUN_ID}.tsv"
    wildcard_constraints:
        loss=one_of(PLAN.losses),
    conda:
        ENVIRONMENT
    threads: RESOURCES.train.threads
    resources:
        **asked("train"),
    params:
        command=f"{on_config('train')} --run {paths.RUN_ID}",
        run=fingerprint,
        code=training_code,
    message:
        "train {wildcards}"
    shell:
        # No shell stays in between: it would die of a signal and end the job before it is saved.
        "exec {params.command}"
        # Only a scheduler ends a job when its time is up.
        ' --time-budget "${{SLURM_JOB_ID:+{resources.runtime}}}" --log {log:q}'


# Which trainings share a job follows from what is finished, so each bundle has a rule of its own.
# Snakemake prefers it to the rule above, as it has no wildcards.
for _name, _runs in bundle_rules("train").items():

    rule:
        name:
            _name
        input:
            sorted({file for run in _runs for file in network_input(run)}),
        output:
            run_files("run.json", _runs),
            run_files(paths.HISTORY_FILE, _runs),
            [run_files(paths.model(s), _runs) for s in BENCHMARK.selections],
        log:
            f"{LOGS}/train/{_name}.log",
        benchmark:
            f"{BENCHMARKS}/train/{_name}.tsv"
        conda:
            ENVIRONMENT
        threads: RESOURCES.train.threads
        resources:
            **asked("train"),
        params:
            command=on_bundle("train", _runs),
            number=len(_runs),
        message:
            "train {params.number} runs"
        shell:
            "exec {params.command}"
            ' --time-budget "${{SLURM_JOB_ID:+{resources.runtime}}}" --log {log:q}'

    ask_as("train", _name)
