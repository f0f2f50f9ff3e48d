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
        # The places of archives come by the environment: workflow/snakemake_jobs.py says why.
        command=lambda wildcards, output: (
            f"{script('data download')} --source {wildcards.source} --archive {wildcards.archive}"
            ' --mirror "$DMLBENCH_MIRROR" --files "$DMLBENCH_FILES"'
            f' --checksums "$DMLBENCH_CHECKSUMS" --out {quote(output[0])}'
        ),
    message:
        "fetch {wildcards.archive} of {wildcards.source}"
    shell:
        "{params.command} --log {log:q}"


use rule download as prepare with:
    input:
        lambda wildcards: PLAN.raw_archives(wildcards.dataset),
    output:
        index=paths.INDEX,
        pixels=paths.PIXELS,
    log:
        f"{LOGS}/prepare/{{dataset}}/{{store}}.log",
    benchmark:
        f"{BENCHMARKS}/prepare/{{dataset}}/{{store}}.tsv"
    threads: RESOURCES.prepare.threads
    resources:
        **asked("prepare"),
    params:
        command=lambda wildcards, input, threads: (
            f"{script('prepare')} --dataset {wildcards.dataset} {data_origin(wildcards)}"
            f" --store {wildcards.store} --threads {threads} --raw {join(input)}"
            f' --checksums "$DMLBENCH_CHECKSUMS" --out {paths.PREPARED.format(**wildcards)}'
        ),
        code=lambda wildcards: provenance.data_code(wildcards.dataset),
        content=content_of_own,
    message:
        "prepare {wildcards.dataset}, pixels: {wildcards.store}"


use rule download as pairs with:
    input:
        index=paths.INDEX,
        raw=pair_files,
    output:
        paths.PAIRS,
    log:
        f"{LOGS}/pairs/{{dataset}}/{{store}}.log",
    benchmark:
        f"{BENCHMARKS}/pairs/{{dataset}}/{{store}}.tsv"
    threads: RESOURCES.prepare.threads
    resources:
        **asked("prepare"),
    params:
        command=lambda wildcards, input, output: (
            f"{script('data pairs')} --dataset {wildcards.dataset} --index {input.index}"
            f" --raw {join(input.raw)} --out {output}"
        ),
        code=step_code("data pairs"),
    message:
        "pairs of {wildcards.dataset}"


use rule pairs as duplicates with:
    input:
        index=paths.INDEX,
        pixels=paths.PIXELS,
    output:
        paths.DUPLICATES,
    log:
        f"{LOGS}/duplicates/{{dataset}}/{{store}}.log",
    benchmark:
        f"{BENCHMARKS}/duplicates/{{dataset}}/{{store}}.tsv"
    params:
        command=lambda wildcards, input, output, threads: (
            f"{script('data duplicates')} --folder {Path(input.index).parent}"
            f" --threads {threads} --out {output}"
        ),
        code=step_code("data duplicates"),
    message:
        "look for copies in {wildcards.dataset}"


use rule pairs as summarise with:
    input:
        index=paths.INDEX,
        pixels=paths.PIXELS,
        duplicates=paths.DUPLICATES,
    output:
        text=paths.DATA_SUMMARY,
        sheet=paths.CONTACT_SHEET,
    log:
        f"{LOGS}/summarise/{{dataset}}/{{store}}.log",
    benchmark:
        f"{BENCHMARKS}/summarise/{{dataset}}/{{store}}.tsv"
    params:
        command=lambda wildcards, input, output: (
            f"{script('data summarise')} --dataset {wildcards.dataset}"
            f" --folder {Path(input.index).parent} --out {output.text} --sheet {output.sheet}"
        ),
        code=step_code("data summarise"),
    message:
        "summarise {wildcards.dataset}"


# To be run before all where results came from elsewhere and the data did not: Snakemake would
# train every run anew whose data it has to prepare, even to the same bytes.
rule datasets:
    input:
        {prepared_index(run) for run in PLAN.all_runs.values()},
        {
            prepared_index(run, paths.PAIRS)
            for run in PLAN.runs.values()
            if PLAN.verifies(run.dataset)
        },
    message:
        "the datasets of {NAME} are prepared"
