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
        **asked("download"),
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
        lambda wildcards: raw_archives(PLAN, wildcards.dataset),
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
        **asked("prepare"),
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
        **asked("prepare"),
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
        **asked("prepare"),
    params:
        script=f"{SCRIPTS}/summarise.py",
        folder=lambda wildcards, input: Path(input.index).parent,
    message:
        "summarise {wildcards.dataset}"
    shell:
        "python {params.script:q} --dataset {wildcards.dataset} --folder {params.folder:q}"
        " --out {output.text:q} --sheet {output.sheet:q} --log {log:q}"


# Where results came from elsewhere and the data did not, this comes before all: Snakemake would
# train every run anew whose data it has to prepare, even to the same bytes.
rule datasets:
    input:
        {prepared_index(run) for run in PLAN.runs.values()},
        {
            prepared_index(run, paths.PAIRS)
            for run in PLAN.runs.values()
            if PLAN.verifies(run.dataset)
        },
    message:
        "the datasets of {NAME} are prepared"
