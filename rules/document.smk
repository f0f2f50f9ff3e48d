# All tables and figures in one PDF, where LaTeX is installed; so no part of all.


rule document:
    input:
        expand(rules.tables.output.tex, experiment=BENCHMARK.experiments),
        expand(rules.overview.output.tex, overview=paths.OVERVIEWS),
        [file for file in FIGURES if file.endswith(".pdf")],
    output:
        tex=paths.document(NAME, "tex"),
        pdf=paths.document(NAME, "pdf"),
    log:
        f"{LOGS}/document.log",
    benchmark:
        f"{BENCHMARKS}/document.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.report.threads
    resources:
        **asked("report"),
    params:
        command=command("document"),
        code=provenance.reporting_code(),
    message:
        "compile all tables and figures of {NAME}"
    shell:
        "{params.command} --log {log:q}"
