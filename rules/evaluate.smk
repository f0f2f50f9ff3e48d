# Metrics of each run, from its stored embeddings.


rule evaluate:
    input:
        embeddings=rules.embed.output,
        record=rules.train.output.record,
        index=ancient(prepared(paths.INDEX)),
    output:
        f"{RUN}/metrics.json",
    log:
        f"{LOGS}/evaluate/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/{paths.RUN_ID}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.evaluate.threads
    resources:
        mem_mb=RESOURCES.evaluate.mem_mb,
        runtime=RESOURCES.evaluate.runtime,
        gpu=RESOURCES.evaluate.gpu,
    params:
        script=f"{SCRIPTS}/evaluate.py",
        config=CONFIG,
        settings=BENCHMARK.evaluation.model_dump(),
        code=provenance.evaluation_code(),
        id=lambda wildcards: run_of(wildcards).id,
    message:
        "evaluate {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
    shell:
        "python {params.script:q} --config {params.config:q} --run {params.id}"
        " --index {input.index:q} --out {output:q} --log {log:q}"
