# What git and DVC compare between commits.


rule means:
    input:
        expand(rules.tables.output.csv, experiment=BENCHMARK.experiments),
    output:
        json=paths.means(NAME, "json"),
        csv=paths.means(NAME, "csv"),
    log:
        f"{LOGS}/means.log",
    benchmark:
        f"{BENCHMARKS}/means.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.tables.threads
    resources:
        **asked("tables"),
    params:
        command=command("means"),
        code=provenance.reporting_code(),
    message:
        "write the means of {NAME}"
    shell:
        "{params.command} --log {log:q}"
