# Projections to the plane.


rule project:
    input:
        f"{RUN}/{paths.embeddings(PROJECTION.split, PROJECTION.selection)}",
        prepared_index,
    output:
        f"{RUN}/{paths.projection(PROJECTION.split)}",
    log:
        f"{LOGS}/project/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/project/{paths.RUN_ID}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.project.threads
    resources:
        mem_mb=RESOURCES.project.mem_mb,
        runtime=RESOURCES.project.runtime,
        gpu=RESOURCES.project.gpu,
    params:
        command=command("project"),
        settings=PROJECTION.model_dump_json(),
        code=provenance.evaluation_code(),
    message:
        "project {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --log {log:q}"
