# One training per run.


rule train:
    input:
        # Its content is in the params below; a store made again with the same content is the same.
        index=ancient(prepared(paths.INDEX)),
        pixels=ancient(prepared(paths.PIXELS)),
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
        script=f"{SCRIPTS}/train.py",
        config=CONFIG,
        run=fingerprint,
        code=training_code,
        out=lambda wildcards, output: str(Path(output.record).parent),
        id=lambda wildcards: run_of(wildcards).id,
    message:
        "train {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
    shell:
        "python {params.script:q} --config {params.config:q} --run {params.id}"
        " --index {input.index:q} --pixels {input.pixels:q} --out {params.out:q} --log {log:q}"
