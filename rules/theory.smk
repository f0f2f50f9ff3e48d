# The claims of EPS section 4 on free embeddings: no data and no training, so no part of all.


rule simulate:
    output:
        paths.theory(NAME, "collapse.parquet"),
    log:
        f"{LOGS}/simulate.log",
    benchmark:
        f"{BENCHMARKS}/simulate.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.simulate.threads
    resources:
        **asked("simulate"),
    params:
        command=command("simulate"),
        code=provenance.theory_code(),
        theory=BENCHMARK.theory.model_dump(),
    message:
        "simulate class collapse under label noise"
    shell:
        "{params.command} --log {log:q}"


rule collapse:
    input:
        rules.simulate.output,
    output:
        **THEORY,
    log:
        f"{LOGS}/collapse.log",
    benchmark:
        f"{BENCHMARKS}/collapse.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.theory.threads
    resources:
        **asked("theory"),
    params:
        command=command("theory"),
        code=provenance.reporting_code(),
    message:
        "make the table and the figure of class collapse"
    shell:
        "{params.command} --log {log:q}"


rule theory:
    input:
        rules.collapse.output,
    message:
        "table and figure of the theory are made"
