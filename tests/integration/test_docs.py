"""docs/adding-a-loss.md, followed to the letter."""

import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake

DOC = (ROOT / "docs" / "adding-a-loss.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
YAML = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)]


def merged(config: dict, change: dict) -> dict:
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = merged(config[key], value) if both else value
    return config


def run(folder, changes, root=ROOT):
    """Run the smoke config with the doc's changes in ``folder``; the history of the runs."""
    config = yaml.safe_load((ROOT / "configs" / "smoke.yaml").read_text())
    config |= {"seeds": [0], "controls": []}
    for change in changes:
        config = merged(config, change)
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    done = run_snakemake(
        "-c2", "collect", "--configfile", file, "--directory", folder, cwd=folder, root=root
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return pd.read_parquet(folder / "results/smoke/summary/history.parquet")


@pytest.mark.slow
def test_a_loss_and_a_sampler_outside_the_repository(tmp_path):
    (tmp_path / "my_losses.py").write_text(PYTHON[0])
    (tmp_path / "my_samplers.py").write_text(PYTHON[1])
    name = re.search(r"`negative: (my_samplers\.\w+)`", DOC).group(1)
    far = {"samplers": {"random": {"per_class": 16, "positive": "random", "negative": name}}}
    history = run(tmp_path, [YAML[0], YAML[2], far])
    assert set(history["sampler"]) == {"random", "eps"}
    assert history["loss_value"].notna().all()


@pytest.mark.slow
def test_a_loss_in_the_repository(tmp_path):
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    (tmp_path / "workflow_scripts/dmlbench/losses/soft_contrastive.py").write_text(PYTHON[0])
    history = run(tmp_path, [YAML[1], YAML[2]], tmp_path)
    assert len(history) == 2 * 3


@pytest.mark.slow
def test_a_library_loss_and_miner(tmp_path):
    methods = [{"loss": ["proxy_anchor"]}, {"loss": ["triplet"], "sampler": ["library_miner"]}]
    change = {"experiments": {"even_odd": {"methods": methods}}}
    history = run(tmp_path, [YAML[3], change])
    assert len(history) == 2 * 3
