# From upstream archives to prepared datasets.


rule download:
    output:
        paths.RAW,
    log:
        f"{LOGS}/download/{{source}}/{{archive}}.log",
    benchmark:
        f"{BENCHMARKS}/download/{{source}}/{{archive}}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.download.threads
    resources:
        mem_mb=RESOURCES.download.mem_mb,
        runtime=RESOURCES.download.runtime,
        gpu=RESOURCES.download.gpu,
    params:
        script=f"{SCRIPTS}/download.py",
    message:
        "fetch {wildcards.archive} of {wildcards.source}"
    shell:
        "python {params.script:q} --source {wildcards.source} --archive {wildcards.archive}"
        ' --mirror "$DMLBENCH_MIRROR" --out {output:q} --log {log:q}'


rule prepare:
    input:
        raw_archives,
    output:
        index=paths.INDEX,
        pixels=paths.PIXELS,
    log:
        f"{LOGS}/prepare/{{dataset}}/{{store}}.log",
    benchmark:
        f"{BENCHMARKS}/prepare/{{dataset}}/{{store}}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.prepare.threads
    resources:
        mem_mb=RESOURCES.prepare.mem_mb,
        runtime=RESOURCES.prepare.runtime,
        gpu=RESOURCES.prepare.gpu,
    params:
        script=f"{SCRIPTS}/prepare.py",
        code=lambda wildcards: provenance.data_code(wildcards.dataset),
        out=paths.PREPARED,
    message:
        "prepare {wildcards.dataset}, pixels: {wildcards.store}"
    shell:
        "python {params.script:q} --dataset {wildcards.dataset} --store {wildcards.store}"
        " --threads {threads} --raw {input:q} --out {params.out:q} --log {log:q}"
