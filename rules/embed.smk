# Embeddings of each run. No later step needs the weights of a trained run; a control without a
# training (random vectors, the backbone as it is) begins here.


rule embed:
    input:
        rules.train.output.weights,
        network_input,
    output:
        [
            f"{RUN}/{paths.embeddings(split, selection)}"
            for split in BENCHMARK.evaluation.splits
            for selection in MEASURED
        ],
    log:
        f"{LOGS}/embed/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/embed/{paths.RUN_ID}.tsv"
    wildcard_constraints:
        loss=one_of(PLAN.losses),
    conda:
        ENVIRONMENT
    threads: RESOURCES.embed.threads
    resources:
        **asked("embed"),
    params:
        command=on_run("embed trained"),
        code=step_code("embed trained"),
        pairs="",
    message:
        "embed {wildcards}"
    shell:
        "{params.command} {params.pairs} --log {log:q}"


# Verification also needs images of the training, to choose a threshold. They are embedded when it
# is asked for, and all else stays as it is.
use rule embed as embed_pairs with:
    input:
        weights=rules.train.output.weights,
        index=network_input,
        pairs=lambda wildcards: prepared_index(wildcards, paths.PAIRS),
    output:
        [
            f"{RUN}/{paths.embeddings(paths.OF_PAIRS, selection)}"
            for selection in MEASURED
        ],
    log:
        f"{LOGS}/embed_pairs/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/embed_pairs/{paths.RUN_ID}.tsv"
    params:
        pairs=lambda wildcards, input: f"--pairs {input.pairs}",
    message:
        "embed the images of pairs for {wildcards}"


use rule embed as control with:
    input:
        control_input,
    output:
        f"{RUN}/run.json",
        [
            f"{RUN}/{paths.embeddings(split, PLAN.control_selection)}"
            for split in BENCHMARK.evaluation.splits
        ],
    log:
        f"{LOGS}/control/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/control/{paths.RUN_ID}.tsv"
    wildcard_constraints:
        loss=one_of(PLAN.not_trained),
    params:
        command=on_run("embed control"),
        code=step_code("embed control"),
        run=fingerprint,
    message:
        "control {wildcards}"


use rule control as control_pairs with:
    input:
        record=f"{RUN}/run.json",
        index=network_input,
        pairs=lambda wildcards: prepared_index(wildcards, paths.PAIRS),
    output:
        f"{RUN}/{paths.embeddings(paths.OF_PAIRS, PLAN.control_selection)}",
    log:
        f"{LOGS}/control_pairs/{paths.RUN_ID}.log",
    benchmark:
        f"{BENCHMARKS}/control_pairs/{paths.RUN_ID}.tsv"
    params:
        pairs=lambda wildcards, input: f"--pairs {input.pairs}",
    message:
        "embed the images of pairs for {wildcards}"


# What a frozen backbone makes of a dataset, once for all trainings of a head on it.
use rule embed as features with:
    input:
        features_index,
    output:
        paths.FEATURES,
    log:
        f"{LOGS}/features/{{dataset}}/{{network}}.log",
    benchmark:
        f"{BENCHMARKS}/features/{{dataset}}/{{network}}.tsv"
    wildcard_constraints:
        network=one_of(NETWORKS),
    params:
        command=f"{on_config('embed features')} --dataset {{dataset}} --network {{network}}",
        code=step_code("embed features"),
    message:
        "features of {wildcards.dataset} by {wildcards.network}"


# See rules/train.smk.
for _name, _runs in bundle_rules("embed").items():

    rule:
        name:
            _name
        input:
            [run_files(paths.model(s), _runs) for s in BENCHMARK.selections],
            sorted({file for run in _runs for file in network_input(run)}),
        output:
            [file for run in _runs for file in embeddings_of_run(run)],
        log:
            f"{LOGS}/embed/{_name}.log",
        benchmark:
            f"{BENCHMARKS}/embed/{_name}.tsv"
        conda:
            ENVIRONMENT
        threads: RESOURCES.embed.threads
        resources:
            **asked("embed"),
        params:
            command=on_bundle("embed trained", _runs),
            number=len(_runs),
        message:
            "embed {params.number} runs"
        shell:
            "{params.command} --log {log:q}"

    ask_as("embed", _name)
