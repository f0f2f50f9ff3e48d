"""Every config that can be read gives its tables, or one line for each mistake when it is read."""

import tempfile
from pathlib import Path

import pandas as pd
import pytest
from drawn_configs import configs, write_images
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from in_one_process import run_all

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.errors import ConfigError, UserError
from dmlbench.reporting.tables import none_yet

#: What only a training can tell: nothing was there to learn from, or it has collapsed.
TOLD_LATER = ("R18 ", "R22 ", "R23 ")
#: They take longer than all else together.
FIGURES = st.sampled_from([True] + [False] * 19)


# Simplifying what fails would take minutes; the seed that is printed repeats it.
@settings(
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(drawn=configs(), figures=FIGURES, done=st.sampled_from([0, 0.3, 0.6]))
def test_a_config_gives_tables_or_a_line_for_each_mistake(drawn, figures, done, one_thread):
    images, config = drawn
    with tempfile.TemporaryDirectory() as here, pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        write_images(images)
        plan = None
        try:
            plan = run_all(config, figures, done)
        except UserError as error:
            told = str(error).splitlines()
            early = isinstance(error, ConfigError)
        if plan:
            event("tables")
            nothing_is_dropped(plan, images)
        else:
            event("refused" if early else "learnt nothing")
            # Which images are copies only their pixels tell, before the first step.
            copies = tuple(f"{name}: " for name in config["datasets"])
            start = ("my.yaml: ",) if early else TOLD_LATER
            start += copies
            assert [line for line in told if not line.startswith(start)] == []


def nothing_is_dropped(plan: Plan, images: dict) -> None:
    """Every image is in the index; every method, metric and k in the table of its experiment."""
    dataset, *_ = plan.datasets
    index = pd.read_parquet(paths.local(paths.INDEX, dataset=dataset, store="original"))
    labels = index["class"].value_counts().to_dict()
    assert labels == {name: len(seeds) for name, seeds in images["classes"].items()}
    stored = pd.read_parquet(paths.summary(plan.benchmark.name, "metrics"))
    assert stored["value"].notna().where(stored["note"] == "", other=True).all()
    for experiment in plan.benchmark.experiments:
        file = paths.table(plan.benchmark.name, experiment, "csv")
        table = pd.read_csv(file, keep_default_na=False)
        if table.empty:  # partial, and none of its runs is there: a sentence takes its place
            page = paths.table(plan.benchmark.name, experiment, "md")
            assert plan.benchmark.partial
            assert none_yet("").strip() in Path(page).read_text()
            continue
        methods = {(r.recipe, r.loss, r.sampler) for r in plan.experiment_runs(experiment)}
        rows = table[["recipe", "loss", "sampler"]].itertuples(index=False, name=None)
        assert methods <= set(rows)
        if "recall" in (asked := plan.benchmark.evaluation).metrics:
            found = table[table["metric"] == "recall"]
            assert set(found["k"].astype(int)) == set(asked.recall_at)
            assert set(found["split"]) == set(asked.splits)
            assert set(found["selection"]) >= set(plan.benchmark.selections)
