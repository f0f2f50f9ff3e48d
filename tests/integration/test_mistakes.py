"""What goes wrong in a workflow is told in one line, and nothing is lost."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT, error_lines, job_counts, run_script, run_snakemake
from file_server import serving
from test_datasets import cars_parquet

from dmlbench.config import resolve_config
from dmlbench.config.archive_table import archive
from dmlbench.config.load import write_plan
from dmlbench.workflow.config_source import claim


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("recipes", "digits_8d", "epocs", 3), "unknown key (got 3); did you mean 'epochs'?"),
        (("losses", "triplet", "type", "tripplet"), "'tripplet'); did you mean 'triplet'?"),
    ],
)
def test_a_mistake_in_the_config_is_one_line(smoke_config, tmp_path, change, told):
    section, entry, key, value = change
    smoke_config[section][entry][key] = value
    file = tmp_path / "spoilt.yaml"
    file.write_text(yaml.safe_dump(smoke_config))
    done = run_snakemake("-n", "--configfile", file, "--directory", tmp_path)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: spoilt.yaml: ")
    assert told in lines[0]


def test_another_config_of_the_same_name_is_one_line(smoke_config, tmp_path, monkeypatch):
    """Also in a dry run; nothing of the first one's results is touched."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    monkeypatch.chdir(tmp_path)
    results, plan = tmp_path / "results/smoke", resolve_config(smoke_config, "first.yaml")
    first.write_text(yaml.safe_dump(smoke_config))
    claim(plan.benchmark, ["first.yaml"])
    write_plan(plan, results)
    before = {file: file.read_bytes() for file in results.iterdir()}
    second.write_text(yaml.safe_dump(smoke_config | {"seeds": [7]}))
    done = run_snakemake("-n", "--configfile", second, "--directory", tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: results/smoke: belongs to first.yaml, which has the same name 'smoke' as "
        "second.yaml and means another by it; give one of the two another name"
    ]
    assert {file: file.read_bytes() for file in results.iterdir()} == before


def test_a_job_takes_the_stored_plan_and_not_the_file_of_the_user(
    smoke_config, tmp_path, monkeypatch
):
    plan = resolve_config(smoke_config, "smoke.yaml")
    write_plan(plan, tmp_path / "results/smoke")
    index = "data/prepared/digits_even_odd/original/index.parquet"
    # As Snakemake calls itself for a job, which inherits the places of archives.
    monkeypatch.setenv("DMLBENCH_CHECKSUMS", "{}")
    job = ("--mode", "subprocess", "--force", "--nolock", "-c1", index, "--directory", tmp_path)
    job += ("--configfiles", tmp_path / "results/smoke/config.json")
    done = run_snakemake(*job, "--config", "name=other")
    assert (tmp_path / index).exists(), done.stderr
    (tmp_path / "results/smoke/plan.json").unlink()
    done = run_snakemake(*job)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.endswith(
        "holds no plan (FileNotFoundError); Snakemake writes it before the first "
        "job: start it again"
    )


def test_a_file_in_the_place_of_results_is_one_line(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "smoke").touch()
    done = run_snakemake(
        "-c1", "all", "--configfile", ROOT / "configs" / "smoke.yaml", "--directory", tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: results/smoke: is no folder; results are read and written there"
    )


def test_rescoring_without_stored_embeddings_is_refused(tmp_path):
    kept = shutil.ignore_patterns("*.npz")  # as git keeps them, whatever was made here since
    shutil.copytree(ROOT / "results/mnist", tmp_path / "results/mnist", ignore=kept)
    rules = "download prepare pairs duplicates evaluate check collect tables overview rescore"
    done = run_snakemake(
        *("-c1", "rescore", "--configfile", ROOT / "configs" / "mnist.yaml"),
        *("--directory", tmp_path, "--forcerun", "evaluate", "--allowed-rules", *rules.split()),
    )
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "23 stored embeddings are not here, such as results/mnist/runs/" in line


def mnist_run(tmp_path, mirror):
    config = {"mirror": str(mirror)}
    return run_snakemake(
        *("-c1", "data/raw/mnist/t10k-labels-idx1-ubyte.gz", "--directory", tmp_path),
        *("--configfile", ROOT / "configs" / "mnist.yaml"),
        *("--config", f"data={json.dumps(config)}"),
    )


@pytest.fixture
def offline(monkeypatch):
    """No upstream: every address is refused at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def test_a_missing_archive_is_one_line(tmp_path, offline):
    done = mnist_run(tmp_path, tmp_path / "nowhere")
    assert done.returncode != 0
    (line,) = error_lines(done)
    assert "mnist/t10k-labels-idx1-ubyte.gz could not be had" in line
    assert "no such file" in line
    assert "sha256 f7ae60f9" in line
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "data").rglob("*.gz"))


def test_a_corrupted_archive_is_one_line(tmp_path, offline):
    spoilt = tmp_path / "mirror" / "mnist" / "t10k-labels-idx1-ubyte.gz"
    spoilt.parent.mkdir(parents=True)
    spoilt.write_bytes(b"not what it should be")
    done = mnist_run(tmp_path, tmp_path / "mirror")
    assert done.returncode != 0
    (line,) = error_lines(done)
    assert "wrong checksum" in line
    assert "21 bytes, should be f7ae60f9" in line
    assert not list((tmp_path / "data").rglob("*.gz"))


@pytest.mark.slow
def test_a_copy_put_by_hand_after_a_kill_is_kept(tmp_path, shared_data, offline, monkeypatch):
    """Snakemake deletes what has the name of an output that a killed job was making."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    name = "data/raw/mnist/t10k-labels-idx1-ubyte.gz"
    content = (shared_data / "mnist" / Path(name).name).read_bytes()
    config = ["--configfile", str(ROOT / "configs" / "mnist.yaml")]
    with serving(content) as server:
        server.manners = ["stall"]
        place = f"data={{files: {{{Path(name).name}: '{server.url()}'}}}}"
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            ROOT / "Snakefile",
            "-c1",
            name,
        ]
        command += ["--directory", tmp_path, *config, "--config", place]
        killed = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        part = tmp_path / f"{name}.part"
        for _ in range(600):
            if part.exists() and part.stat().st_size:
                break
            time.sleep(0.1)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
    where = (name, *config, "--directory", tmp_path)
    assert run_snakemake("--unlock", *where).returncode == 0
    done = run_snakemake("-c1", *where, "--rerun-incomplete")
    assert f"or put it at {name}.part and run again" in done.stderr
    part.write_bytes(content)
    done = run_snakemake("-c1", *where, "--rerun-incomplete")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name).read_bytes() == content


def test_prepare_refuses_an_archive_that_changed(tmp_path):
    spoilt = []
    for prefix, kind, dims in [
        ("train", "images", 3), ("train", "labels", 1), ("t10k", "images", 3), ("t10k", "labels", 1)
    ]:  # fmt: skip
        spoilt.append(tmp_path / f"{prefix}-{kind}-idx{dims}-ubyte.gz")
        spoilt[-1].write_bytes(b"x")
    done = run_script(
        *("prepare", "--dataset", "mnist_even_odd", "--raw", *spoilt),
        *("--out", tmp_path / "out"),
    )
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "train-images-idx3-ubyte.gz: wrong checksum" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_parquet_files_that_the_user_pinned_go_all_the_way(tmp_path, shared_data):
    """In a copy of the repository that takes the made devkit for the published one."""
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    mirror = tmp_path / "mirror" / "cars196_parquet"
    mirror.mkdir(parents=True)
    sums = {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in cars_parquet(mirror, shared_data).items()
    }
    table = tmp_path / "workflow_scripts/dmlbench/data/archives.yaml"
    devkit = archive("cars196", "car_devkit.tgz")
    facts = {devkit.sha256: sums.pop(devkit.file), f"bytes: {devkit.bytes}": "bytes: null"}
    text = table.read_text()
    for published, made in facts.items():
        text = text.replace(published, made)
    table.write_text(text)
    data = {
        "sources": {"cars196": "cars196_parquet"},
        "mirror": str(mirror.parent),
        "checksums": sums,
    }
    made = tmp_path / "data/prepared/cars196/original/index.parquet"
    where = ("--configfile", ROOT / "config.yaml", "--directory", tmp_path)
    done = run_snakemake(
        *("-c2", made.relative_to(tmp_path), *where, "--config", f"data={json.dumps(data)}"),
        root=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert pd.read_parquet(made)["split"].value_counts().to_dict() == {"test": 8131, "train": 8054}


def test_wrong_counts_are_one_line_and_leave_nothing(tmp_path):
    code = (
        "import runpy, sys; from dmlbench.data.dataset import get_dataset;"
        "get_dataset('digits_even_odd').facts.counts['train'] = 1;"
        "sys.argv[0] = 'prepare.py'; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(ROOT / "workflow_scripts/prepare.py")]
    command += ["--dataset", "digits_even_odd", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "digits_even_odd: train has 720 images, published are 1" in line
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_a_step_by_hand_before_its_time_is_one_line(tmp_path):
    config = ROOT / "configs/smoke.yaml"
    for arguments in (["--experiment", "even_odd"], ["--experiment", "even_od"]):
        done = run_script("report", "tables", "--config", config, *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "error: " in done.stderr.splitlines()[-1]
    assert "did you mean 'even_odd'?" in done.stderr


def test_a_run_that_is_not_planned_is_one_line():
    done = run_script(
        *("train", "--config", ROOT / "configs/smoke.yaml"),
        *("--run", "digits_even_odd/digits_8d/triplet/epss/seed0"),
    )
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "did you mean 'digits_even_odd/digits_8d/triplet/eps/seed0'?" in line


def test_an_experiment_may_be_called_overall(smoke_config, tmp_path):
    smoke_config["experiments"]["overall"] = smoke_config["experiments"].pop("even_odd")
    (tmp_path / "config.yaml").write_text(json.dumps(smoke_config))
    done = run_snakemake(
        "-n", "all", "--configfile", tmp_path / "config.yaml", "--directory", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert job_counts(done.stdout)["figures_overall"] == 1


def test_experiments_whose_figures_would_be_one_file_are_one_line(smoke_config, tmp_path):
    one = smoke_config["experiments"].pop("even_odd")
    smoke_config["experiments"] = {"x": one, "train_x": one}
    smoke_config["evaluation"]["splits"] = ["test", "train"]
    (tmp_path / "config.yaml").write_text(json.dumps(smoke_config))
    done = run_snakemake(
        "-n", "all", "--configfile", tmp_path / "config.yaml", "--directory", tmp_path
    )
    assert done.returncode == 2
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "rename one of the two" in done.stderr
