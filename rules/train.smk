# One training per run.


rule train:
    input:
        prepared_index,
    output:
        record=f"{RUN}/run.json",
        history=f"{RUN}/history.csv",
        weights=[f"{RUN}/{paths.model(s)}" for s in BENCHMARK.selections],
    log:
        f"{LOGS}/train/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/train/{paths.RUN_ID}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.train.threads
    resources:
        mem_mb=RESOURCES.train.mem_mb,
        runtime=RESOURCES.train.runtime,
        gpu=RESOURCES.train.gpu,
    params:
        command=command("train"),
        run=fingerprint,
        code=training_code,
    message:
        "train {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        # Only a scheduler ends a job when its time is up.
        ' --time-budget "${{SLURM_JOB_ID:+{resources.runtime}}}" --log {log:q}'
