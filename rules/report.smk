# From the metrics of all runs to what is cited.


rule collect:
    input:
        # The last file of each run; its history and record are older.
        run_files("metrics.json"),
    output:
        metrics=paths.summary(NAME, "metrics"),
        history=paths.summary(NAME, "history"),
        runs=paths.summary(NAME, "runs"),
    log:
        f"{LOGS}/collect.log",
    benchmark:
        f"{BENCHMARKS}/collect.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.collect.threads
    resources:
        mem_mb=RESOURCES.collect.mem_mb,
        runtime=RESOURCES.collect.runtime,
        gpu=RESOURCES.collect.gpu,
    params:
        command=command("collect"),
        code=provenance.reporting_code(),
        runs=sorted(PLAN.runs),
    message:
        "collect the metrics of {NAME}"
    shell:
        "{params.command} --log {log:q}"


rule tables:
    input:
        rules.collect.output.metrics,
    output:
        tex=paths.table(NAME, "{experiment}", "tex"),
        csv=report(
            paths.table(NAME, "{experiment}", "csv"),
            caption="report/table.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"format": "CSV, long form"},
        ),
        md=report(
            paths.table(NAME, "{experiment}", "md"),
            caption="report/table.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"format": "Markdown"},
        ),
    log:
        f"{LOGS}/tables/{{experiment}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/{{experiment}}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.tables.threads
    resources:
        mem_mb=RESOURCES.tables.mem_mb,
        runtime=RESOURCES.tables.runtime,
        gpu=RESOURCES.tables.gpu,
    params:
        command=command("tables"),
        code=provenance.reporting_code(),
        experiment=lambda wildcards: BENCHMARK.experiments[
            wildcards.experiment
        ].model_dump(),
    message:
        "make the table of {wildcards.experiment}"
    shell:
        "{params.command} --experiment {wildcards.experiment} --log {log:q}"


rule figures:
    input:
        figure_input,
        rules.collect.output.history,
    output:
        pdf=paths.figure(NAME, "{experiment}", "{kind}", "pdf"),
        png=report(
            paths.figure(NAME, "{experiment}", "{kind}", "png"),
            caption="report/figure.rst",
            category="Figures",
            subcategory="{experiment}",
            labels={"figure": "{kind}"},
        ),
    log:
        f"{LOGS}/figures/{{kind}}_{{experiment}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/{{kind}}_{{experiment}}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.figures.threads
    resources:
        mem_mb=RESOURCES.figures.mem_mb,
        runtime=RESOURCES.figures.runtime,
        gpu=RESOURCES.figures.gpu,
    params:
        command=command("figures"),
        code=provenance.reporting_code(),
        experiment=lambda wildcards: BENCHMARK.experiments[
            wildcards.experiment
        ].model_dump(),
    message:
        "draw {wildcards.kind} of {wildcards.experiment}"
    shell:
        "{params.command} --experiment {wildcards.experiment}"
        " --kind {wildcards.kind} --log {log:q}"


rule summary:
    input:
        expand(rules.tables.output.csv, experiment=BENCHMARK.experiments),
        rules.collect.output.runs,
    output:
        report(
            SUMMARY,
            caption="report/summary.rst",
            category="Summary",
            labels={"page": "summary"},
        ),
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{BENCHMARKS}/summary.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.report.threads
    resources:
        mem_mb=RESOURCES.report.mem_mb,
        runtime=RESOURCES.report.runtime,
        gpu=RESOURCES.report.gpu,
    params:
        command=command("report"),
        code=provenance.reporting_code(),
    message:
        "write the summary page of {NAME}"
    shell:
        "{params.command} --page summary --log {log:q}"


rule results:
    input:
        expand(rules.tables.output, experiment=BENCHMARK.experiments),
        expand(rules.figures.output, experiment=BENCHMARK.experiments, kind=FIGURES),
        SUMMARY,
    message:
        "all tables and figures of {NAME} are made"


rule report:
    input:
        rules.results.input,
    output:
        REPORT,
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.report.threads
    resources:
        mem_mb=RESOURCES.report.mem_mb,
        runtime=RESOURCES.report.runtime,
        gpu=RESOURCES.report.gpu,
    params:
        command=command("report"),
        snakefile=os.path.relpath(Path(workflow.basedir) / "Snakefile"),
    message:
        "write the HTML report of {NAME}"
    shell:
        "{params.command} --page report"
        " --snakefile {params.snakefile:q} --log {log:q}"
