# Controls that no training is needed for: random vectors, and the backbone as it is before any.


rule control:
    input:
        prepared_index,
    output:
        f"{RUN}/run.json",
        [
            f"{RUN}/{paths.embeddings(split, PLAN.control_selection)}"
            for split in BENCHMARK.evaluation.splits
        ],
    log:
        f"{LOGS}/control/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/control/{paths.RUN_ID}.tsv"
    wildcard_constraints:
        loss=one_of([RANDOM, UNTRAINED]),
    conda:
        ENVIRONMENT
    threads: RESOURCES.embed.threads
    resources:
        **asked("embed"),
    params:
        command=command("control"),
        run=fingerprint,
        code=provenance.control_code(),
    message:
        "control {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --log {log:q}"


rule control_pairs:
    input:
        record=f"{RUN}/run.json",
        index=prepared_index,
        pairs=lambda wildcards: prepared_index(wildcards, paths.PAIRS),
    output:
        f"{RUN}/{paths.embeddings(paths.OF_PAIRS, PLAN.control_selection)}",
    log:
        f"{LOGS}/control_pairs/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/control_pairs/{paths.RUN_ID}.tsv"
    wildcard_constraints:
        loss=one_of([RANDOM, UNTRAINED]),
    conda:
        ENVIRONMENT
    threads: RESOURCES.embed.threads
    resources:
        **asked("embed"),
    params:
        command=command("control"),
        code=provenance.control_code(),
    message:
        "embed the images of pairs for {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --pairs {input.pairs:q} --log {log:q}"
