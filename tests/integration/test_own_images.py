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
EXPERIMENTS = ("folder", "table", "measured", "oml")
TABLES = [f"results/mine/tables/{name}.csv" for name in EXPERIMENTS]


def oml_table(folder):
    """``oml.csv``: four classes of the shop in Open-metric-learning's form, with boxes."""
    table = pd.read_csv(folder / "shop.csv", dtype=str)
    number = table["path"].str.extract(r"(\d)\.png")[0].astype(int)
    table = table.rename(columns={"product": "label"})[["label", "path", "split"]]
    table["split"] = table["split"].map({"test": "validation"}).fillna("train")
    held = table["split"] == "validation"
    table["is_query"] = (number < 4).where(held, "")
    table["is_gallery"] = (number >= 4).where(held, "")
    table = table.assign(x_1="4", y_1="4", x_2="36", y_2="36")
    table.to_csv(folder / "oml.csv", index=False)


@pytest.mark.slow
def test_a_folder_a_table_and_vectors_become_tables(tmp_path):
    subprocess.run([sys.executable, "-c", IMAGES], cwd=tmp_path, check=True)
    # A copy of a training image in the test, which nothing else is like.
    shutil.copy(tmp_path / "shop/class 00/0.png", tmp_path / "shop/class 11/0.png")
    config = CONFIG.replace("evaluation: {", LEFT_OUT.strip().removesuffix("}") + ", ")
    config = config.replace("datasets:\n", "datasets:\n  as_oml: {table: oml.csv}\n")
    trained = next(line for line in config.splitlines() if line.startswith("  table: "))
    oml = trained.replace("table:", "oml:").replace("by_table", "as_oml").replace("colours", "")
    config = config.replace("experiments:\n", f"experiments:\n{oml}\n")
    oml_table(tmp_path)
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
    apart = (tmp_path / TABLES[3]).with_suffix(".md").read_text()
    # The copy that is left out is a query.
    assert "15 in a gallery of 16" in " ".join(apart.split())
    assert "without a match: 0; copies of a query in the gallery: 0" in " ".join(apart.split())
    # A config that trains nothing at all.
    trained = re.compile(r"^  (folder|table|oml): .*\n", re.MULTILINE)
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
