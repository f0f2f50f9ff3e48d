# Projections to the plane.


rule project:
    input:
        embeddings=f"{RUN}/{paths.embeddings('{split}', BENCHMARK.projection.selection)}",
        index=ancient(prepared(paths.INDEX)),
    output:
        f"{RUN}/{paths.projection('{split}')}",
    log:
        f"{LOGS}/project/{paths.RUN_ID}/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/project/{paths.RUN_ID}/{{split}}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.project.threads
    resources:
        mem_mb=RESOURCES.project.mem_mb,
        runtime=RESOURCES.project.runtime,
        gpu=RESOURCES.project.gpu,
    params:
        script=f"{SCRIPTS}/project.py",
        settings=BENCHMARK.projection.model_dump(),
        code=provenance.evaluation_code(),
    message:
        "project {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
    shell:
        "python {params.script:q} --embeddings {input.embeddings:q} --index {input.index:q}"
        " --max-images {params.settings[max_images]} --perplexity {params.settings[perplexity]}"
        " --seed {wildcards.seed} --out {output:q} --log {log:q}"
