"""docs/adding-a-dataset.md, followed to the letter."""

import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, run_snakemake

DOC = (ROOT / "docs" / "adding-a-dataset.md").read_text()
DATASET, ARCHIVE, TEST = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
ENTRY, CONFIG = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)


@pytest.mark.slow
def test_a_dataset_is_one_file_and_the_entry_of_its_archive(tmp_path):
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    (tmp_path / "workflow_scripts/dmlbench/data/datasets/leaves.py").write_text(DATASET)
    with (tmp_path / "workflow_scripts/dmlbench/data/archives.yaml").open("a") as table:
        table.write(ENTRY)
    (tmp_path / "leaves.yaml").write_text(CONFIG)
    subprocess.run([sys.executable, "-c", ARCHIVE], cwd=tmp_path, check=True)
    (tmp_path / "test_leaves.py").write_text(TEST)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "workflow_scripts")}
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", ".", "test_leaves.py"]
    tested = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    make = [sys.executable, "workflow_scripts/data.py", "make", "--config", "leaves.yaml"]
    made = subprocess.run(
        [*make, "--dataset", "leaves"], cwd=tmp_path, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "leaves: 160 images, 16 to 16 pixels a side" in made.stdout
    done = run_snakemake(
        *(
            "-c2",
            "results/leaves/tables/leaves.csv",
            "--configfile",
            "leaves.yaml",
            "--directory",
            tmp_path,
        ),
        cwd=tmp_path,
        root=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = pd.read_parquet(tmp_path / "results/leaves/summary/metrics.parquet")
    assert set(metrics["dataset"]) == {"leaves"}
    assert {"random", "eps"} <= set(metrics["sampler"])
    assert (tmp_path / "results/leaves/tables/leaves.csv").is_file()
