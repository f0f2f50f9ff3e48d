# What is computed from each run's stored embeddings: its metrics, and what figures show of it.


use rule embed as evaluate with:
    input:
        measured_files,
    output:
        f"{RUN}/{paths.METRICS_FILE}",
    log:
        f"{LOGS}/evaluate/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/{paths.RUN_ID}.tsv"
    wildcard_constraints:
        loss=one_of([*PLAN.losses, *PLAN.not_trained]),
    threads: RESOURCES.evaluate.threads
    resources:
        **asked("evaluate"),
    params:
        command=on_run("measure evaluate"),
        code=step_code("measure evaluate"),
        settings=BENCHMARK.evaluation.model_dump_json(),
    message:
        "evaluate {wildcards}"


use rule evaluate as project with:
    input:
        [
            f"{RUN}/{paths.embeddings(split, PROJECTION.selection)}"
            for split in PLAN.projected_splits
        ],
        f"{RUN}/run.json",
        prepared_index,
    output:
        [f"{RUN}/{paths.projection(split)}" for split in PLAN.projected_splits],
    log:
        f"{LOGS}/project/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/project/{paths.RUN_ID}.tsv"
    threads: RESOURCES.project.threads
    resources:
        **asked("project"),
    params:
        command=on_run("measure project"),
        code=step_code("measure project"),
        settings=PROJECTION.model_dump_json(),
    message:
        "project {wildcards}"


use rule project as illustrate with:
    output:
        [f"{RUN}/{paths.neighbours(split)}" for split in PLAN.projected_splits],
        [f"{RUN}/{paths.similarities(split)}" for split in PLAN.projected_splits],
    log:
        f"{LOGS}/illustrate/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/illustrate/{paths.RUN_ID}.tsv"
    threads: RESOURCES.illustrate.threads
    resources:
        **asked("illustrate"),
    params:
        command=on_run("measure illustrate"),
        code=step_code("measure illustrate"),
        gallery=BENCHMARK.gallery.model_dump_json(),
    message:
        "look up neighbours and similarities of {wildcards}"


use rule evaluate as roc with:
    input:
        f"{RUN}/{paths.embeddings(paths.OF_PAIRS, PROJECTION.selection)}",
        f"{RUN}/run.json",
        index=prepared_index,
        pairs=lambda wildcards: prepared_index(wildcards, paths.PAIRS),
    output:
        f"{RUN}/{paths.ROC_FILE}",
    log:
        f"{LOGS}/roc/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/roc/{paths.RUN_ID}.tsv"
    threads: RESOURCES.illustrate.threads
    resources:
        **asked("illustrate"),
    params:
        command=on_run("measure roc"),
        code=step_code("measure roc"),
        settings=PROJECTION.selection,
    message:
        "accept rates of {wildcards}"


# See rules/train.smk.
for _name, _runs in bundle_rules("evaluate").items():

    rule:
        name:
            _name
        input:
            [measured_files(as_wildcards(run)) for run in _runs],
        output:
            run_files(paths.METRICS_FILE, _runs),
        log:
            f"{LOGS}/evaluate/{_name}.log",
        benchmark:
            f"{BENCHMARKS}/evaluate/{_name}.tsv"
        conda:
            ENVIRONMENT
        threads: RESOURCES.evaluate.threads
        resources:
            **asked("evaluate"),
        params:
            command=on_bundle("measure evaluate", _runs),
            number=len(_runs),
        message:
            "evaluate {params.number} runs"
        shell:
            "{params.command} --log {log:q}"

    ask_as("evaluate", _name)
