# One training per run.


rule train:
    input:
        network_input,
    output:
        record=f"{RUN}/run.json",
        history=f"{RUN}/history.csv",
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
