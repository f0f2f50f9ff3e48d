"""The whole workflow: dry runs of every config, and one real run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml
from conftest import ROOT, job_counts, run_script, run_snakemake

from dmlbench import paths
from dmlbench.config import load_config, resolve_config
from dmlbench.reporting import figures
from dmlbench.workflow.bundles import make_bundles

CONFIGS = sorted([ROOT / "config.yaml", *(ROOT / "configs").glob("*.yaml")])


def test_the_smoke_run_makes_everything(smoke_run):
    folder = smoke_run / "results" / "smoke"
    metrics = pd.read_parquet(folder / "summary" / "metrics.parquet")
    runs = metrics[["recipe", "loss", "sampler", "seed"]].drop_duplicates()
    assert len(runs) == 4 + 3  # controls
    learnt = metrics[(metrics["metric"] == "recall") & (metrics["loss"] == "triplet")]
    assert (learnt["value"] > 0.5).all()
    for suffix in ("tex", "csv", "md"):
        assert (folder / "tables" / f"even_odd.{suffix}").stat().st_size > 500
    for kind in figures.planned(load_config(ROOT / "configs" / "smoke.yaml"), "even_odd"):
        assert (folder / "figures" / f"{kind}_even_odd.pdf").read_bytes()[:5] == b"%PDF-"
        assert (folder / "figures" / f"{kind}_even_odd.png").stat().st_size > 10_000
    report = (folder / "report" / "report.html").read_text()
    for part in ("Summary", "Tables", "Figures", "embedding_even_odd.png", "summary.html"):
        assert part in report


def test_every_table_cell_comes_from_the_runs(smoke_run):
    folder = smoke_run / "results" / "smoke"
    table = pd.read_csv(folder / "tables" / "even_odd.csv")
    for cell in table[(table["metric"] == "recall") & table["control"].isna()].itertuples():
        values = []
        for seed in (0, 1):
            run = f"digits_even_odd/{cell.recipe}/{cell.loss}/{cell.sampler}/seed{seed}"
            result = json.loads((folder / "runs" / run / "metrics.json").read_text())
            values += [
                row["value"]
                for row in result["metrics"]
                if (row["metric"], row["k"], row["selection"], row["subset"])
                == (cell.metric, cell.k, cell.selection, cell.subset)
            ]
        assert len(values) == 2
        assert cell.mean == pytest.approx(100 * sum(values) / 2, abs=1e-5)


def test_rescore_measures_and_tables_anew_without_weights(smoke_run, smoke_file, tmp_path):
    for part in ("data", "results"):
        leave = shutil.ignore_patterns("*.safetensors", "tables", "summary", "metrics.json", "raw")
        shutil.copytree(smoke_run / part, tmp_path / part, ignore=leave)
    rules = "download prepare pairs duplicates evaluate check collect tables overview rescore"
    done = run_snakemake(
        *("-c2", "rescore", "--configfile", smoke_file, "--directory", tmp_path),
        *("--forcerun", "evaluate", "--allowed-rules", *rules.split()),
    )
    assert done.returncode == 0, done.stderr
    assert job_counts(done.stdout + done.stderr)["evaluate"] == 7
    for name in ("even_odd.md", "even_odd_tests.csv", "leaderboard.csv"):
        file = f"results/smoke/tables/{name}"
        assert (tmp_path / file).read_text() == (smoke_run / file).read_text()


def test_a_partial_config_makes_tables_of_what_there_is(smoke_run, smoke_file, tmp_path):
    for part in ("data", "results"):
        leave = shutil.ignore_patterns("tables", "summary", "report", "raw")
        shutil.copytree(smoke_run / part, tmp_path / part, ignore=leave)
    run = "digits_even_odd/digits_8d/triplet/eps/seed1"
    shutil.rmtree(tmp_path / "results/smoke/runs" / run)
    table = "results/smoke/tables/even_odd.md"
    where = ("--configfile", smoke_file, "--directory", tmp_path, "--rerun-triggers", "mtime")
    whole = run_snakemake("-n", table, *where)
    assert job_counts(whole.stdout)["train"] == 1
    done = run_snakemake("-c2", table, *where, "--config", "partial=true")
    assert done.returncode == 0, done.stderr
    assert "train" not in job_counts(done.stdout + done.stderr)
    text = (tmp_path / table).read_text()
    assert f"PARTIAL: 1 runs are missing ({run}: missing, not run yet)" in text
    assert "(1/2)" in text


def test_nothing_is_left_to_do_after_a_run(smoke_run, smoke_file):
    done = run_snakemake("-n", "--configfile", smoke_file, "--directory", smoke_run)
    assert "Nothing to be done" in done.stdout + done.stderr


def planned(smoke_run, config, tmp_path):
    file = tmp_path / "smoke.yaml"
    file.write_text(yaml.safe_dump(config))
    done = run_snakemake("-n", "--configfile", file, "--directory", smoke_run)
    return job_counts(done.stdout) if "Job stats:" in done.stdout else {}


def test_an_added_loss_trains_only_its_runs(smoke_run, smoke_config, tmp_path):
    smoke_config["losses"]["wide"] = {"type": "triplet", "margin": 0.5}
    smoke_config["experiments"]["even_odd"]["methods"].append({"loss": "wide", "sampler": "eps"})
    counts = planned(smoke_run, smoke_config, tmp_path)
    assert counts["train"] == counts["embed"] == counts["evaluate"] == 2
    assert "prepare" not in counts


def test_a_changed_sampler_trains_its_runs_and_a_title_none(smoke_run, smoke_config, tmp_path):
    smoke_config["experiments"]["even_odd"]["title"] = "Another title"
    counts = planned(smoke_run, smoke_config, tmp_path)
    assert "train" not in counts
    assert counts["tables"] == 1
    smoke_config["samplers"]["eps"]["negative"] = "semihard"
    counts = planned(smoke_run, smoke_config, tmp_path)
    assert counts["train"] == counts["embed"] == counts["evaluate"] == 2


@pytest.mark.slow
def test_changed_code_has_only_what_depends_on_it_made_again(smoke_config, tmp_path):
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    library = tmp_path / "workflow_scripts/dmlbench"
    smoke_config |= {"seeds": [0], "selections": ["last"], "controls": []}
    smoke_config["losses"]["margin"] = {"type": "margin"}
    methods = [{"loss": ["triplet", "margin"], "sampler": "eps"}]
    smoke_config["experiments"]["even_odd"]["methods"] = methods
    smoke_config["recipes"]["digits_8d"]["epochs"] = 1
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(smoke_config))

    def snakemake(*options):
        command = (*options, "--configfile", "smoke.yaml")
        done = run_snakemake(*command, cwd=tmp_path, root=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    tables = [f"results/smoke/tables/{name}.csv" for name in ("even_odd", "cost")]

    def again(module):
        """The rules that a dry run names, and the losses of its trainings, after a change."""
        file = library / module
        text = file.read_text()
        file.write_text(text + "# another\n")
        said = snakemake("-n", *tables)
        file.write_text(text)
        trained = re.findall(r"^.*train dataset=.*loss=(\w+).*$", said, flags=re.MULTILINE)
        counts = job_counts(said) if "Job stats:" in said else {}
        return sorted(set(counts) - {"total"}), sorted(trained)

    snakemake("-c2", *tables)
    for file in tmp_path.rglob("*.py"):
        file.touch()
    after = ["collect", "overview", "tables"]
    measured = sorted([*after, "check", "evaluate"])
    trained = sorted([*measured, "embed", "train"])
    assert again("losses/contrastive.py") == ([], [])
    assert again("training/checkpoint.py") == ([], [])
    assert again("reporting/tables.py") == (["overview", "tables"], [])
    assert again("reporting/collect.py") == (after, [])
    assert again("checking/number_rules.py") == (["check", "overview", "tables"], [])
    assert again("evaluation/metrics/recall.py") == (measured, [])
    assert again("losses/margin.py") == (trained, ["margin"])
    assert again("training/step.py") == (trained, ["margin", "triplet"])
    assert again("data/prepare.py") == (
        sorted([*trained, "duplicates", "prepare"]),
        ["margin", "triplet"],
    )


def test_preparing_anew_leaves_no_missing_job_out(smoke_file, tmp_path):
    # With ancient() inputs Snakemake 9.27 ran only the forced job and called it a success.
    made = tmp_path / "data/prepared/digits_even_odd/original"
    made.mkdir(parents=True)
    for name in ("index.parquet", "pixels.bin"):
        (made / name).touch()
    done = run_snakemake(
        *("-n", "--configfile", smoke_file, "--directory", tmp_path, "--forcerun", "prepare")
    )
    assert job_counts(done.stdout)["train"] == 5  # one on shuffled labels


def test_tables_kept_in_git_do_not_pass_for_a_finished_run(tmp_path):
    shutil.copytree(ROOT / "results/mnist/tables", tmp_path / "results/mnist/tables")
    for kept in (ROOT / "results/mnist/runs").rglob("*.*"):
        if kept.name in ("run.json", "metrics.json", "history.csv"):
            copy = tmp_path / kept.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(kept, copy)
    config = ROOT / "configs" / "mnist.yaml"
    done = run_snakemake("-n", "--configfile", config, "--directory", tmp_path)
    counts = job_counts(done.stdout)
    plan = load_config(config)
    assert counts["train"] == len(plan.runs)
    assert counts["evaluate"] == len(plan.all_runs)
    assert counts["tables"] == 1


def jobs_of(step: str, counts: dict[str, int]) -> int:
    """Jobs that do a step, for one run or for several."""
    names = [name for name in counts if name == step or name.startswith(f"{step}_bundle_")]
    return sum(counts[name] for name in names)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_dry_run_has_the_jobs_that_the_config_plans(path, tmp_path):
    plan = load_config(path)
    benchmark = plan.benchmark
    done = run_snakemake("-n", "--configfile", path, "--directory", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = job_counts(done.stdout)
    size, experiments = benchmark.resources.train.runs_per_job, len(benchmark.experiments)
    jobs = len(make_bundles(plan, plan.runs.values(), size))
    assert jobs_of("train", counts) == jobs_of("embed", counts) == jobs
    assert jobs_of("evaluate", counts) == jobs + counts["control"]
    assert counts["control"] + len(plan.runs) == len(plan.all_runs)
    assert counts["check"] == 1
    assert counts["overview"] == 2
    assert counts["prepare"] == len(plan.datasets)
    assert counts["tables"] == experiments
    assert all(counts[f"figures_{experiment}"] == 1 for experiment in benchmark.experiments)
    methods = {(e.dataset, m) for n, e in benchmark.experiments.items() for m in plan.methods[n]}
    assert counts["project"] == counts["illustrate"] == len(methods)
    verified = {m for m in methods if plan.verifies(m[0])}
    assert counts.get("roc", 0) == len(verified) * len(benchmark.seeds)
    assert counts["collect"] == counts["summary"] == counts["report"] == counts["all"] == 1


def test_view_2_leaves_each_fold_out_once():
    plan = load_config(ROOT / "configs" / "lfw_view2.yaml")
    recipes = [plan.recipes[run.recipe] for run in plan.runs.values()]
    folds = [recipe["test_fold"] for recipe in recipes if recipe["labels"] == "own"]
    assert folds == list(range(1, 11))
    assert plan.datasets == ["lfw_view2"]


def test_a_given_config_replaces_the_default_one(tmp_path):
    """Snakemake would merge demo.yaml into config.yaml, key by key."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    demo = ROOT / "configs" / "demo.yaml"
    done = run_snakemake("-n", "--configfile", demo, "--directory", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digits" in done.stdout
    assert "mnist" not in done.stdout


def test_without_a_given_config_the_default_is_used(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    done = run_snakemake("-n", "--directory", tmp_path)
    assert job_counts(done.stdout)["train"] == len(load_config(ROOT / "config.yaml").runs)


def test_keys_can_be_set_on_the_command_line(smoke_file, tmp_path):
    done = run_snakemake(
        *("-n", "--configfile", smoke_file, "--directory", tmp_path, "--config", "seeds=[5]")
    )
    assert job_counts(done.stdout)["train"] == 3  # one on shuffled labels


@pytest.mark.slow
def test_two_runs_give_the_same_bytes(smoke_run, smoke_file, tmp_path):
    """The second run starts from nothing; only times and hosts may differ."""
    target = "results/smoke/runs/digits_even_odd/digits_8d/triplet/eps/seed1/metrics.json"
    done = run_snakemake("-c2", target, "--configfile", smoke_file, "--directory", tmp_path)
    assert done.returncode == 0, done.stderr
    folder = (tmp_path / target).parent
    assert (tmp_path / target).read_bytes() == (smoke_run / target).read_bytes()
    for weights in folder.glob("*.safetensors"):
        assert (
            weights.read_bytes()
            == (smoke_run / folder.relative_to(tmp_path) / weights.name).read_bytes()
        )


@pytest.mark.slow
def test_a_dry_run_of_5000_runs(smoke_config, tmp_path):
    smoke_config["seeds"] = list(range(2500))
    file = tmp_path / "many.yaml"
    file.write_text(yaml.safe_dump(smoke_config))
    assert len(resolve_config(smoke_config, "many").runs) == 5001  # one on shuffled labels
    done = run_snakemake("-n", "-q", "rules", "--configfile", file, "--directory", tmp_path)
    assert done.returncode == 0, done.stderr
    assert job_counts(done.stdout)["train"] == 5001


def test_every_script_and_every_step_of_one_has_help():
    for script in sorted((ROOT / "workflow_scripts").glob("*.py")):
        steps = re.findall(r"steps\.add\((\w+)", script.read_text())
        for words in [[step] for step in steps] or [[]]:
            done = run_script(script.stem, *words, "--help")
            assert done.returncode == 0, done.stderr
            assert "--log" in done.stdout


def test_outputs_lie_below_the_configs_name(smoke_run):
    assert [p.name for p in (smoke_run / "results").iterdir()] == ["smoke"]
    assert sorted(p.name for p in smoke_run.iterdir()) == [".snakemake", "data", "results"]


def test_snakemake_lint_is_clean():
    done = run_snakemake("--lint", "--configfile", ROOT / "configs" / "smoke.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_same_command_goes_on_after_ctrl_c(smoke_config, tmp_path):
    """Snakemake asked for --rerun-incomplete, as history.csv was there."""
    smoke_config["recipes"]["digits_8d"] |= {"epochs": 120, "monitor_every": 120}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(smoke_config))
    run = "digits_even_odd/digits_8d/triplet/eps/seed0"
    folder = tmp_path / "results/smoke/runs" / run
    arguments = ["-c1", folder.relative_to(tmp_path) / "run.json", "--configfile", "config.yaml"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", *arguments]
    first = subprocess.Popen(
        [str(word) for word in command], cwd=tmp_path, stderr=subprocess.DEVNULL, process_group=0
    )
    until = time.monotonic() + 120
    while not (folder / "history.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(timeout=60) != 0
    assert not (folder / "run.json").exists()
    done = run_snakemake(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    log = paths.log_in(tmp_path / "results/smoke", "train", run).read_text()
    assert "goes on in epoch" in log
    assert len(pd.read_csv(folder / "history.csv")) == 120
