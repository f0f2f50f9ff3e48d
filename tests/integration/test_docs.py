"""docs/adding-a-loss.md, followed to the letter."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake

DOC = (ROOT / "docs" / "adding-a-loss.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
OWN_LOSS, REGISTERED_LOSS, LIBRARY, OWN_SAMPLER = (
    yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
)


def added(config: dict, change: dict) -> dict:
    """What a reader does who adds the lines of ``change`` to a config: lists get longer."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            added(config[key], value)
        elif isinstance(value, list) and isinstance(config.get(key), list):
            config[key] += value
        else:
            config[key] = value
    return config


def run_demo(folder: Path, changes: list[dict], root: Path = ROOT) -> pd.DataFrame:
    """Run the demo with ``changes`` to its tables, in ``folder``; one seed, its first two methods.

    The table as it was printed, one row for each cell.
    """
    config = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text())
    config["experiments"]["even_odd"]["methods"] = config["experiments"]["even_odd"]["methods"][:1]
    config |= {"seeds": [0], "controls": []}
    for change in changes:
        added(config, change)
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    table = "results/demo/tables/even_odd.csv"
    where = ("--configfile", file, "--directory", folder)
    done = run_snakemake("-c2", table, *where, cwd=folder, root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return pd.read_csv(folder / table, comment="#")


@pytest.mark.slow
def test_the_page_outside_the_repository(tmp_path):
    (tmp_path / "my_losses.py").write_text(PYTHON[0])
    (tmp_path / "my_samplers.py").write_text(PYTHON[1])
    table = run_demo(tmp_path, [OWN_LOSS, LIBRARY, OWN_SAMPLER])
    methods = set(zip(table["loss"], table["sampler"], strict=True))
    assert methods == {
        ("triplet", "semihard"),
        ("triplet", "eps_semihard"),
        ("soft", "semihard"),
        ("soft", "eps_semihard"),
        ("proxy_anchor", "none"),
        ("triplet", "library_miner"),
        ("triplet", "farthest"),
    }
    text = (tmp_path / "results/demo/tables/even_odd.md").read_text()
    assert "Soft contrastive + SH + EPS" in text
    assert "Triplet + far + EPS" in text


@pytest.mark.slow
def test_the_page_inside_the_repository(tmp_path):
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    rooms = tmp_path / "workflow_scripts/dmlbench"
    (rooms / "losses/soft_contrastive.py").write_text(PYTHON[0])
    (rooms / "samplers/farthest.py").write_text(PYTHON[1])
    far = {"samplers": {"far": {"per_class": 32, "positive": "easy", "negative": "farthest"}}}
    methods = [{"loss": "soft", "sampler": "far"}]
    change = {"experiments": {"even_odd": {"methods": methods}}}
    table = run_demo(tmp_path, [REGISTERED_LOSS, far, change], tmp_path)
    assert "soft" in set(table["loss"])
