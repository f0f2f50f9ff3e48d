# Embeddings of each run, the last step that needs its weights.


rule embed:
    input:
        record=rules.train.output.record,
        weights=rules.train.output.weights,
        index=ancient(prepared(paths.INDEX)),
        pixels=ancient(prepared(paths.PIXELS)),
    output:
        [
            f"{RUN}/{paths.embeddings(split, selection)}"
            for split in BENCHMARK.evaluation.splits
            for selection in BENCHMARK.selections
        ],
    log:
        f"{LOGS}/embed/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/embed/{paths.RUN_ID}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.embed.threads
    resources:
        mem_mb=RESOURCES.embed.mem_mb,
        runtime=RESOURCES.embed.runtime,
        gpu=RESOURCES.embed.gpu,
    params:
        script=f"{SCRIPTS}/embed.py",
        run=lambda wildcards, input: str(Path(input.record).parent),
        splits=BENCHMARK.evaluation.splits,
        selections=BENCHMARK.selections,
    message:
        "embed {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
    shell:
        "python {params.script:q} --run {params.run:q} --splits {params.splits}"
        " --selections {params.selections} --index {input.index:q} --pixels {input.pixels:q}"
        " --log {log:q}"
