"""``partial: true`` at every stage of a run: tables and figures of what is there, or a sentence."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import config_with
from made_results import gather
from made_up import make_up

from dmlbench import paths
from dmlbench.checking.check import check, refuse, write_check
from dmlbench.checking.results import Results
from dmlbench.config import RANDOM, resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.data.prepare import prepare
from dmlbench.errors import DataError
from dmlbench.reporting.collect import collect, write_means
from dmlbench.reporting.draw_figures import write_figures, write_overall_figures
from dmlbench.reporting.figures import figures, planned
from dmlbench.reporting.figures.critical_difference import same_methods
from dmlbench.reporting.report import document, write_pages
from dmlbench.reporting.tables import write_overview, write_tables


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The prepared digits."""
    folder = tmp_path_factory.mktemp("digits")
    prepare(get_dataset("digits_even_odd"), {}, folder)
    return folder


@pytest.fixture
def partial(index, tmp_path, monkeypatch):
    """Makes results of three methods and another experiment, and keeps those that are asked for."""
    monkeypatch.chdir(tmp_path)
    config = config_with()
    config["partial"] = True
    config["losses"]["margin"] = {"type": "margin"}
    methods = config["experiments"]["even_odd"]["methods"]
    methods.append({"loss": "margin", "sampler": "eps"})
    other = {"loss": "margin", "sampler": "random"}
    config["experiments"]["other"] = config["experiments"]["even_odd"] | {"methods": [other]}
    plan = resolve_config(config, "test")

    def make(kept):
        folder = plan.data_folder(next(iter(plan.runs.values())))
        folder.parent.mkdir(parents=True)
        folder.symlink_to(index)
        make_up(plan, pd.read_parquet(index / paths.INDEX_FILE))
        for run in plan.all_runs.values():
            if not kept(run):
                for file in plan.run_folder(run).iterdir():
                    file.unlink()
        return plan

    return make


def everything(plan):
    """What `snakemake results` makes, in its order."""
    name = plan.benchmark.name
    found = Results.read(plan)
    refuse(check(found))
    write_check(found, check(found), Path(paths.check(name)))
    gather(plan)
    for experiment in plan.benchmark.experiments:
        write_tables(plan, experiment)
        write_figures(plan, experiment)
    for which in paths.OVERVIEWS:
        write_overview(plan, which)
    if same_methods(plan):
        write_overall_figures(plan)
    write_means(plan)
    write_pages(plan)
    return document(plan)


STAGES = {
    "all but one experiment": lambda run: (run.loss, run.sampler) != ("margin", "random"),
    "one run": lambda run: (run.loss, run.sampler, run.seed) == ("triplet", "eps", 0),
    "one run of the second seed": lambda run: (run.loss, run.seed) == ("margin", 1),
    "one seed": lambda run: run.seed == 0,
    "only controls": lambda run: not run.trained,
    "one control": lambda run: run.loss == RANDOM,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("stage", STAGES)
def test_what_is_there_is_tabled_and_what_is_not_is_said(partial, stage):
    plan = partial(STAGES[stage])
    everything(plan)
    for experiment in plan.benchmark.experiments:
        text = Path(paths.table("smoke", experiment, "md")).read_text()
        runs = [*plan.experiment_runs(experiment), *plan.controls[experiment].values()]
        there = [run for run in runs if STAGES[stage](run)]
        assert ("PARTIAL" in text) == (len(there) < len(runs))
        assert ("No run of this experiment is finished yet" in text) == (not there)
        page = Path(paths.experiment_page("smoke", experiment)).read_text()
        assert ("No run of this experiment is finished yet" in page) == (not there)
        for kind in planned(plan, experiment):
            for suffix in figures()[kind].suffixes:
                assert Path(paths.figure("smoke", experiment, kind, suffix)).stat().st_size


def test_without_any_run_one_line_says_what_to_do(partial):
    plan = partial(lambda run: False)
    with pytest.raises(DataError, match=r"none of the 12 runs is finished; .* leave partial out"):
        collect(plan)
