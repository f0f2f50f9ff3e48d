# From the metrics of all runs to what is cited.


rule collect:
    input:
        # The last file of each run; its history and record are older.
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
        command=on_config("report collect"),
        code=step_code("report collect"),
        what=[PLAN.fingerprint_of_all(), BENCHMARK.partial],
    message:
        "collect the metrics of {NAME}"
    shell:
        "{params.command} --log {log:q}"


use rule collect as check with:
    output:
        check=paths.check(NAME),
        ledger=paths.ledger(NAME),
    log:
        f"{LOGS}/check.log",
    benchmark:
        f"{BENCHMARKS}/check.tsv"
    params:
        command=lambda wildcards, output: (
            f"{on_config('check')} {paths.results(NAME)}"
            f" --out {output.check} --ledger {output.ledger}"
        ),
        code=step_code("check"),
    message:
        "check the results of {NAME} against the rules"


use rule collect as tables with:
    input:
        rules.collect.output.metrics,
        rules.collect.output.runs,
        rules.check.output,
    output:
        tex=paths.table(NAME, "{experiment}", "tex"),
        tests=shown(
            paths.tests(NAME, "{experiment}"),
            "tests",
            "Tables",
            "{experiment}",
            format="paired tests, CSV",
        ),
        csv=shown(
            paths.table(NAME, "{experiment}", "csv"),
            "table",
            "Tables",
            "{experiment}",
            format="CSV, long form",
        ),
        md=shown(
            paths.table(NAME, "{experiment}", "md"),
            "table",
            "Tables",
            "{experiment}",
            format="Markdown",
        ),
    log:
        f"{LOGS}/tables/{{experiment}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/{{experiment}}.tsv"
    threads: RESOURCES.tables.threads
    resources:
        **asked("tables"),
    params:
        command=f"{on_config('report tables')} --experiment {{experiment}}",
        what=lambda wildcards: BENCHMARK.experiments[wildcards.experiment].model_dump(),
        code=step_code("report tables"),
    message:
        "make the table of {wildcards.experiment}"


use rule tables as overview with:
    input:
        rules.collect.output.metrics,
        rules.collect.output.runs,
        rules.collect.output.history,
        rules.check.output,
    output:
        tex=paths.table(NAME, "{overview}", "tex"),
        csv=shown(
            paths.table(NAME, "{overview}", "csv"),
            "overview",
            "Tables",
            "over all experiments",
            format="{overview}, CSV",
        ),
        md=shown(
            paths.table(NAME, "{overview}", "md"),
            "overview",
            "Tables",
            "over all experiments",
            format="{overview}, Markdown",
        ),
    log:
        f"{LOGS}/tables/{{overview}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/{{overview}}.tsv"
    wildcard_constraints:
        overview=one_of(paths.OVERVIEWS),
    params:
        command=f"{on_config('report tables')} --overview {{overview}}",
        what={name: e.model_dump() for name, e in BENCHMARK.experiments.items()},
    message:
        "make the {wildcards.overview} of {NAME}"


# What git and DVC compare between commits.
use rule tables as means with:
    input:
        expand(rules.tables.output.csv, experiment=BENCHMARK.experiments),
    output:
        json=paths.means(NAME, "json"),
        csv=paths.means(NAME, "csv"),
    log:
        f"{LOGS}/means.log",
    benchmark:
        f"{BENCHMARKS}/means.tsv"
    params:
        command=on_config("report means"),
        what=None,
        code=step_code("report means"),
    message:
        "write the means of {NAME}"


# Which figures an experiment has follows from the config, so each has a rule of its own. One job
# draws them all: starting Python takes as long as drawing two.
for _experiment in BENCHMARK.experiments:

    rule:
        name:
            f"figures_{_experiment}"
        input:
            figure_input(_experiment),
        output:
            **figure_output(_experiment),
        log:
            f"{LOGS}/figures/{_experiment}.log",
        benchmark:
            f"{BENCHMARKS}/figures/{_experiment}.tsv"
        conda:
            ENVIRONMENT
        threads: RESOURCES.figures.threads
        resources:
            **asked("figures"),
        params:
            command=f"{on_config('report figures')} --experiment {_experiment}",
            code=step_code("report figures"),
            what=[
                BENCHMARK.experiments[_experiment].model_dump(),
                PROJECTION.model_dump(),
                BENCHMARK.gallery.model_dump(),
            ],
            name=_experiment,
        message:
            "draw the figures of {params.name}"
        shell:
            "{params.command} --log {log:q}"


# Not figures_overall: an experiment may be called overall.
use rule collect as overall_figures with:
    input:
        rules.collect.output.metrics,
    output:
        pdf=paths.overall_figure(NAME, "critical_difference", "pdf"),
        png=shown(
            paths.overall_figure(NAME, "critical_difference", "png"),
            "critical_difference_overall",
            "Figures",
            "all datasets",
            figure="Critical difference",
        ),
        csv=paths.overall_figure(NAME, "critical_difference", "csv"),
    log:
        f"{LOGS}/overall_figures.log",
    benchmark:
        f"{BENCHMARKS}/overall_figures.tsv"
    threads: RESOURCES.figures.threads
    resources:
        **asked("figures"),
    params:
        command=f"{on_config('report figures')} --overall",
        what=same_methods(PLAN),
        code=step_code("report figures"),
    message:
        "draw the ranks of methods over datasets"


use rule collect as summary with:
    input:
        expand(rules.tables.output.csv, experiment=BENCHMARK.experiments),
        rules.collect.output,
        rules.check.output,
    output:
        shown(SUMMARY, "summary", "Summary", page="verdicts, runs, cost, provenance"),
        shown(paths.verdicts(NAME), "verdicts", "Summary", page="verdicts as CSV"),
        [
            shown(
                paths.experiment_page(NAME, experiment),
                "experiment",
                "Tables",
                experiment,
                format="page, with the runs behind each cell",
            )
            for experiment in BENCHMARK.experiments
        ],
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{BENCHMARKS}/summary.tsv"
    threads: RESOURCES.report.threads
    resources:
        **asked("report"),
    params:
        command=on_config("report pages"),
        what=None,
        code=step_code("report pages"),
    message:
        "write the pages of the report of {NAME}"


rule rescore:
    input:
        expand(rules.tables.output, experiment=BENCHMARK.experiments),
        expand(rules.overview.output, overview=paths.OVERVIEWS),
    message:
        "all tables of {NAME} are made"


rule results:
    input:
        rules.rescore.input,
        FIGURES,
        rules.summary.output,
    message:
        "all tables and figures of {NAME} are made"


use rule summary as report with:
    input:
        rules.results.input,
    output:
        REPORT,
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    params:
        command=f"{on_config('report html')} --snakefile {quote(os.path.relpath(workflow.main_snakefile))}",
        code=None,
    message:
        "write the HTML report of {NAME}"


# All tables and figures in one PDF, where LaTeX is installed; so no part of all.
use rule summary as document with:
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
    params:
        command=on_config("report pdf"),
        code=step_code("report pdf"),
    message:
        "compile all tables and figures of {NAME}"
