# What figures show of embeddings, and the figures.


rule project:
    input:
        [
            f"{RUN}/{paths.embeddings(split, PROJECTION.selection)}"
            for split in PLAN.projected_splits
        ],
        prepared_index,
    output:
        [f"{RUN}/{paths.projection(split)}" for split in PLAN.projected_splits],
    log:
        f"{LOGS}/project/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/project/{paths.RUN_ID}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.project.threads
    resources:
        **asked("project"),
    params:
        command=command("project"),
        settings=PROJECTION.model_dump_json(),
        code=provenance.picture_code(),
    message:
        "project {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --log {log:q}"


rule illustrate:
    input:
        [
            f"{RUN}/{paths.embeddings(split, PROJECTION.selection)}"
            for split in PLAN.projected_splits
        ],
        prepared_index,
    output:
        [f"{RUN}/{paths.neighbours(split)}" for split in PLAN.projected_splits],
        [f"{RUN}/{paths.similarities(split)}" for split in PLAN.projected_splits],
    log:
        f"{LOGS}/illustrate/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/illustrate/{paths.RUN_ID}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.illustrate.threads
    resources:
        **asked("illustrate"),
    params:
        command=command("illustrate"),
        settings=PROJECTION.model_dump_json(),
        gallery=BENCHMARK.gallery.model_dump_json(),
        code=provenance.picture_code(),
    message:
        "look up neighbours and similarities of {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --log {log:q}"


rule roc:
    input:
        f"{RUN}/{paths.embeddings(paths.OF_PAIRS, PROJECTION.selection)}",
        index=prepared_index,
        pairs=lambda wildcards: prepared_index(wildcards, paths.PAIRS),
    output:
        f"{RUN}/{paths.ROC_FILE}",
    log:
        f"{LOGS}/roc/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/roc/{paths.RUN_ID}.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.illustrate.threads
    resources:
        **asked("illustrate"),
    params:
        command=command("roc"),
        selection=PROJECTION.selection,
        code=provenance.picture_code(),
    message:
        "accept rates of {wildcards}"
    shell:
        "{params.command} --run {wildcards.dataset}/{wildcards.recipe}/{wildcards.loss}/{wildcards.sampler}/seed{wildcards.seed}"
        " --log {log:q}"


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
            command=command("figures"),
            code=provenance.reporting_code(),
            name=_experiment,
            experiment=BENCHMARK.experiments[_experiment].model_dump(),
            shown=[PROJECTION.model_dump(), BENCHMARK.gallery.model_dump()],
        message:
            "draw the figures of {params.name}"
        shell:
            "{params.command} --experiment {params.name} --log {log:q}"


rule figures_overall:
    input:
        paths.summary(NAME, "metrics"),
    output:
        pdf=paths.overall_figure(NAME, "critical_difference", "pdf"),
        png=report(
            paths.overall_figure(NAME, "critical_difference", "png"),
            caption="report/critical_difference_overall.rst",
            category="Figures",
            subcategory="all datasets",
            labels={"figure": "Critical difference"},
        ),
        csv=paths.overall_figure(NAME, "critical_difference", "csv"),
    log:
        f"{LOGS}/figures_overall.log",
    benchmark:
        f"{BENCHMARKS}/figures_overall.tsv"
    conda:
        ENVIRONMENT
    threads: RESOURCES.figures.threads
    resources:
        **asked("figures"),
    params:
        command=command("figures"),
        code=provenance.reporting_code(),
        experiments=same_methods(PLAN),
    message:
        "draw the ranks of methods over datasets"
    shell:
        "{params.command} --overall --log {log:q}"
