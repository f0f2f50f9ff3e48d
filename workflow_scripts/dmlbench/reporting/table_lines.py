"""The lines of tables: every method of an experiment, then its controls."""

import pandas as pd

from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.reporting import names


def lines_of(plan: Plan, experiment: str) -> list[dict]:
    """A line for each method and control of an experiment.

    Keys: experiment, dataset, method (in words), recipe, loss, sampler, control (its kind; empty
    for a method) and planned (seeds).
    """
    about = {"experiment": experiment, "dataset": plan.benchmark.experiments[experiment].dataset}
    seeds = len(plan.benchmark.seeds)
    found = [(m, words, "", seeds) for m, words in names.methods(plan, experiment).items()]
    for kind, run in plan.controls[experiment].items():
        found.append((run.method, names.CONTROLS[kind], kind, 1))
    return [
        about
        | {"method": words, **dict(zip(METHOD_KEYS, method, strict=True))}
        | {"control": control, "planned": planned}
        for method, words, control, planned in found
    ]


def lines(plan: Plan) -> pd.DataFrame:
    """The lines of all experiments as a table."""
    return pd.DataFrame(
        [line for name in plan.benchmark.experiments for line in lines_of(plan, name)]
    )


def method_lines(plan: Plan) -> pd.DataFrame:
    """The lines of all experiments without controls."""
    table = lines(plan)
    return table[table["control"] == ""].drop(columns="control")
