# Embeddings of each run, the last step that needs its weights.


rule embed:
    input:
        rules.train.output.weights,
        prepared_index,
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
    wildcard_constraints:
        loss=one_of(PLAN.losses),
    conda:
        ENVIRONMENT
    threads: RESOURCES.embed.threads
    resources:
        **asked("embed"),
    params:
        command=command("embed"),
        code=provenance.embedding_code(),
    message:
        "embed {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --log {log:q}"


# Verification also needs images of the training, to choose a threshold. They are embedded when it
# is asked for, and all else stays as it is.
rule embed_pairs:
    input:
        weights=rules.train.output.weights,
        index=prepared_index,
        pairs=lambda wildcards: prepared_index(wildcards, paths.PAIRS),
    output:
        [
            f"{RUN}/{paths.embeddings(paths.OF_PAIRS, selection)}"
            for selection in BENCHMARK.selections
        ],
    log:
        f"{LOGS}/embed_pairs/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/embed_pairs/{paths.RUN_ID}.tsv"
    wildcard_constraints:
        loss=one_of(PLAN.losses),
    conda:
        ENVIRONMENT
    threads: RESOURCES.embed.threads
    resources:
        **asked("embed"),
    params:
        command=command("embed"),
        code=provenance.embedding_code(),
    message:
        "embed the images of pairs for {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --pairs {input.pairs:q} --log {log:q}"
