"""Results that came from elsewhere, without what Snakemake knows of them."""

import gzip
import hashlib
import json
import os
import shutil

import pandas as pd
import pytest
import yaml
from conftest import ROOT, job_counts, run_snakemake

from dmlbench.config.archive_table import archives

RESULTS = "results/smoke"


@pytest.fixture
def came(smoke_run, tmp_path):
    """The results and nothing else, all made at the same moment."""
    shutil.copytree(smoke_run / RESULTS, tmp_path / RESULTS)
    for file in (tmp_path / RESULTS).rglob("*.*"):
        os.utime(file, (2e9, 2e9))
    return tmp_path


def dry_run(folder, config, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    done = run_snakemake("-n", "--configfile", file, "--directory", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return job_counts(done.stdout) if "Job stats:" in done.stdout else {}


def test_they_are_up_to_date_as_far_as_they_are(came, smoke_config, tmp_path):
    assert dry_run(came, smoke_config, tmp_path) == {}
    smoke_config["experiments"]["even_odd"]["title"] = "Another title"
    counts = dry_run(came, smoke_config, tmp_path)
    assert counts["tables"] == 1
    assert "train" not in counts
    smoke_config["losses"]["triplet"]["margin"] = 0.3
    assert dry_run(came, smoke_config, tmp_path)["train"] == 5


def test_without_their_origins_they_are_out_of_date(came, smoke_config, tmp_path):
    (came / RESULTS / "origins.json.gz").unlink()
    counts = dry_run(came, smoke_config, tmp_path)
    # Four runs, one on shuffled labels, and two controls that are not trained.
    assert (counts["train"], counts["embed"], counts["evaluate"]) == (5, 5, 7)
    assert counts["tables"] == counts["report"] == counts["means"] == 1


def test_origins_know_every_file_that_snakemake_made(smoke_run):
    known = gzip.decompress((smoke_run / RESULTS / "origins.json.gz").read_bytes())
    made = [files for _, _, files in os.walk(smoke_run / ".snakemake/metadata")]
    assert len(json.loads(known)) == sum(map(len, made))


def test_means_are_those_of_the_table(smoke_run):
    folder = smoke_run / RESULTS
    table = pd.read_csv(folder / "tables/even_odd.csv")
    means = json.loads((folder / "means/means.json").read_text())["even_odd"]
    assert sum(map(len, means.values())) == len(table)
    row = table[(table["metric"] == "recall") & (table["sampler"] == "eps")].iloc[0]
    method = f"{row.recipe}/{row.loss}/eps"
    assert means[method][f"{row.selection} test {row.subset} digit recall@1"] == row["mean"]
    bars = pd.read_csv(folder / "means/means.csv").set_index("method")["mean"]
    assert bars["even_odd: Triplet + EPS"] == row["mean"]
    assert len(bars) == 2 + 3  # methods and controls


def test_dvc_pins_the_archives_that_are_verified(shared_data):
    pins = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"]
    assert len({pin["path"] for pin in pins}) == len(pins)
    for pin in pins:
        source, file = pin["path"].removeprefix("data/raw/").split("/")
        archive = archives(source)[file]
        assert pin.get("size") == archive.bytes
        assert archive.md5 in (None, pin["md5"])
        if source == "mnist":
            content = (shared_data / source / file).read_bytes()
            assert hashlib.md5(content).hexdigest() == pin["md5"]
