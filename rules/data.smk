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
        ' --mirror "$DMLBENCH_MIRROR" --files "$DMLBENCH_FILES"'
        ' --checksums "$DMLBENCH_CHECKSUMS"'
        " --out {output:q} --log {log:q}"


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
        origin=data_origin,
        listing=folder_listing,
        out=paths.PREPARED,
    message:
        "prepare {wildcards.dataset}, pixels: {wildcards.store}"
    shell:
        "python {params.script:q} --dataset {wildcards.dataset} {params.origin}"
        " --store {wildcards.store} --threads {threads} --raw {input:q}"
        ' --checksums "$DMLBENCH_CHECKSUMS"'
        " --out {params.out:q} --log {log:q}"


rule pairs:
    input:
        index=paths.INDEX,
        raw=pair_files,
    output:
        paths.PAIRS,
    log:
        f"{LOGS}/pairs/{{dataset}}/{{store}}.log",
    benchmark:
        f"{BENCHMARKS}/pairs/{{dataset}}/{{store}}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.prepare.threads
    resources:
        mem_mb=RESOURCES.prepare.mem_mb,
        runtime=RESOURCES.prepare.runtime,
        gpu=RESOURCES.prepare.gpu,
    params:
        script=f"{SCRIPTS}/pairs.py",
    message:
        "pairs of {wildcards.dataset}"
    shell:
        "python {params.script:q} --dataset {wildcards.dataset} --index {input.index:q}"
        " --raw {input.raw:q} --out {output:q} --log {log:q}"


rule summarise:
    input:
        index=paths.INDEX,
        pixels=paths.PIXELS,
    output:
        text=paths.DATA_SUMMARY,
        sheet=paths.CONTACT_SHEET,
    log:
        f"{LOGS}/summarise/{{dataset}}/{{store}}.log",
    benchmark:
        f"{BENCHMARKS}/summarise/{{dataset}}/{{store}}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.prepare.threads
    resources:
        mem_mb=RESOURCES.prepare.mem_mb,
        runtime=RESOURCES.prepare.runtime,
        gpu=RESOURCES.prepare.gpu,
    params:
        script=f"{SCRIPTS}/summarise.py",
        folder=lambda wildcards, input: Path(input.index).parent,
    message:
        "summarise {wildcards.dataset}"
    shell:
        "python {params.script:q} --dataset {wildcards.dataset} --folder {params.folder:q}"
        " --out {output.text:q} --sheet {output.sheet:q} --log {log:q}"
