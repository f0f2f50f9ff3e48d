# Metrics of each run, from its stored embeddings.


rule evaluate:
    input:
        embeddings_of_run,
        prepared_index,
        pairs_of_run,
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
        **asked("evaluate"),
    params:
        command=command("evaluate"),
        settings=BENCHMARK.evaluation.model_dump_json(),
        code=provenance.evaluation_code(),
    message:
        "evaluate {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --log {log:q}"
