"""docs/own-images.md, followed to the letter."""

import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, run_snakemake

DOC = (ROOT / "docs" / "own-images.md").read_text()
(IMAGES,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
CONFIG, LEFT_OUT = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
TABLES = [f"results/mine/tables/{name}.csv" for name in ("folder", "table", "measured")]


@pytest.mark.slow
def test_a_folder_a_table_and_vectors_become_tables(tmp_path):
    subprocess.run([sys.executable, "-c", IMAGES], cwd=tmp_path, check=True)
    # A copy of a training image in the test, which nothing else is like.
    shutil.copy(tmp_path / "shop/class 00/0.png", tmp_path / "shop/class 11/0.png")
    config = CONFIG.replace("evaluation: {", LEFT_OUT.strip().removesuffix("}") + ", ")
    (tmp_path / "mine.yaml").write_text(config)
    where = ["--configfile", "mine.yaml", "--directory", tmp_path]
    done = run_snakemake("-c2", *TABLES, "results/mine/tables/leaderboard.md", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

    measured = pd.read_csv(tmp_path / TABLES[1], keep_default_na=False)
    first = measured[(measured["metric"] == "recall") & (measured["k"] == 1)]
    lines = first[(first["label"] == "product") & (first["selection"] == "last")]
    assert lines["method"].tolist() == ["Triplet + EPS", "Mean colour", "Random embedding"]
    assert set(first["label"]) == {"product", "kind"}
    only = pd.read_csv(tmp_path / TABLES[2], keep_default_na=False)
    assert "Mean colour" in set(only["method"])
    notes = (tmp_path / TABLES[1]).with_suffix(".md").read_text()
    assert "colours.npy (SHA-256" in notes
    assert "1 with the same pixels" in notes
    assert "they are left out" in notes
    metrics = pd.read_parquet(tmp_path / "results/mine/summary/metrics.parquet")
    assert not metrics[metrics["loss"] == "features-colours"].empty
    # A config that trains nothing at all.
    trained = re.compile(r"^  (folder|table): .*\n", re.MULTILINE)
    (tmp_path / "only.yaml").write_text(trained.sub("", config).replace("mine", "only", 1))
    where[1], targets = "only.yaml", ["measured.csv", "cost.md", "leaderboard.md"]
    done = run_snakemake(
        "-c2", *(f"results/only/tables/{t}" for t in targets), *where, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    board = (tmp_path / "results/only/tables/leaderboard.md").read_text()
    assert "Mean colour" in board
    index = pd.read_parquet(tmp_path / "data/prepared/by_table/original/index.parquet")
    assert set(index["product"]) == {f"{number:03d}" for number in range(12)}
