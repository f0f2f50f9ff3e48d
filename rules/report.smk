# From the metrics of all runs to what is cited.


rule check:
    input:
        # The last file of each run; its history and record are older.
        run_files(paths.METRICS_FILE, measured_runs()),
    output:
        check=paths.check(NAME),
        ledger=paths.ledger(NAME),
    log:
        f"{LOGS}/check.log",
    benchmark:
        f"{BENCHMARKS}/check.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.collect.threads
    resources:
        **asked("collect"),
    params:
        command=command("check"),
        code=provenance.checking_code(),
        runs=sorted(PLAN.all_runs),
        partial=BENCHMARK.partial,
    message:
        "check the results of {NAME} against the rules"
    shell:
        f"{{params.command}} {paths.results(NAME)}"
        " --out {output.check:q} --ledger {output.ledger:q} --log {log:q}"


rule collect:
    input:
        run_files(paths.METRICS_FILE, measured_runs()),
    output:
        metrics=paths.summary(NAME, "metrics"),
        history=paths.summary(NAME, "history"),
        runs=paths.summary(NAME, "runs"),
        curves=paths.curves(NAME),
    log:
        f"{LOGS}/collect.log",
    benchmark:
        f"{BENCHMARKS}/collect.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.collect.threads
    resources:
        **asked("collect"),
    params:
        command=command("collect"),
        code=provenance.reporting_code(),
        runs=sorted(PLAN.all_runs),
        partial=BENCHMARK.partial,
    message:
        "collect the metrics of {NAME}"
    shell:
        "{params.command} --log {log:q}"


rule tables:
    input:
        rules.collect.output.metrics,
        rules.check.output,
    output:
        tex=paths.table(NAME, "{experiment}", "tex"),
        tests=report(
            paths.tests(NAME, "{experiment}"),
            caption="report/tests.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"format": "paired tests, CSV"},
        ),
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
        **asked("tables"),
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


rule overview:
    input:
        rules.collect.output.metrics,
        rules.collect.output.runs,
        rules.collect.output.history,
        rules.check.output,
    output:
        tex=paths.table(NAME, "{overview}", "tex"),
        csv=report(
            paths.table(NAME, "{overview}", "csv"),
            caption="report/overview.rst",
            category="Tables",
            subcategory="over all experiments",
            labels={"format": "{overview}, CSV"},
        ),
        md=report(
            paths.table(NAME, "{overview}", "md"),
            caption="report/overview.rst",
            category="Tables",
            subcategory="over all experiments",
            labels={"format": "{overview}, Markdown"},
        ),
    log:
        f"{LOGS}/tables/{{overview}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/{{overview}}.tsv"
    wildcard_constraints:
        overview=one_of(paths.OVERVIEWS),
    conda:
        ENVIRONMENT
    threads: RESOURCES.tables.threads
    resources:
        **asked("tables"),
    params:
        command=command("tables"),
        code=provenance.reporting_code(),
        experiments={name: e.model_dump() for name, e in BENCHMARK.experiments.items()},
    message:
        "make the {wildcards.overview} of {NAME}"
    shell:
        "{params.command} --overview {wildcards.overview} --log {log:q}"


rule summary:
    input:
        expand(rules.tables.output.csv, experiment=BENCHMARK.experiments),
        rules.collect.output,
        rules.check.output,
    output:
        report(
            SUMMARY,
            caption="report/summary.rst",
            category="Summary",
            labels={"page": "verdicts, runs, cost, provenance"},
        ),
        report(
            paths.verdicts(NAME),
            caption="report/verdicts.rst",
            category="Summary",
            labels={"page": "verdicts as CSV"},
        ),
        [
            report(
                paths.experiment_page(NAME, experiment),
                caption="report/experiment.rst",
                category="Tables",
                subcategory=experiment,
                labels={"format": "page, with the runs behind each cell"},
            )
            for experiment in BENCHMARK.experiments
        ],
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{BENCHMARKS}/summary.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.report.threads
    resources:
        **asked("report"),
    params:
        command=command("report"),
        code=provenance.reporting_code(),
    message:
        "write the pages of the report of {NAME}"
    shell:
        "{params.command} --page own --log {log:q}"


rule rescore:
    input:
        expand(rules.tables.output, experiment=BENCHMARK.experiments),
        expand(rules.overview.output, overview=paths.OVERVIEWS),
    message:
        "all tables of {NAME} are made"


rule results:
    input:
        expand(rules.tables.output, experiment=BENCHMARK.experiments),
        expand(rules.overview.output, overview=paths.OVERVIEWS),
        FIGURES,
        SUMMARY,
        paths.verdicts(NAME),
        [paths.experiment_page(NAME, e) for e in BENCHMARK.experiments],
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
        **asked("report"),
    params:
        command=command("report"),
        snakefile=os.path.relpath(Path(workflow.basedir) / "Snakefile"),
    message:
        "write the HTML report of {NAME}"
    shell:
        "{params.command} --page report"
        " --snakefile {params.snakefile:q} --log {log:q}"
