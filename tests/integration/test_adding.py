"""docs/adding-a-loss.md, adding-a-metric.md and adding-a-figure.md, followed to the letter."""

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake

from dmlbench import paths


def page(name: str) -> tuple[list[str], list[Any]]:
    """The Python examples of a page, and its pieces of configs."""
    text = (ROOT / "docs" / f"{name}.md").read_text()
    python, configs = (
        re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "yaml")
    )
    return python, [yaml.safe_load(piece) for piece in configs]


(OWN_LOSS, OWN_SAMPLER), (BY_PATH, REGISTERED, LIBRARY, SAMPLER) = page("adding-a-loss")
(METRIC,), (MEASURED,) = page("adding-a-metric")
(FIGURE,), _ = page("adding-a-figure")
FAR = {
    "samplers": {"far_inside": {"per_class": 32, "positive": "easy", "negative": "farthest"}},
    "experiments": {"even_odd": {"methods": [{"loss": "registered", "sampler": "far_inside"}]}},
}


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


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with all that the pages add, run once to its table and the new figure.

    The loss and the sampler of their page are there twice: in the working directory, named by
    class path, and in a copy of the library, named as registered. One seed, two methods of its own.
    """
    folder = tmp_path_factory.mktemp("adding")
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    library = folder / "workflow_scripts/dmlbench"
    for file, text in {
        folder / "my_losses.py": OWN_LOSS,
        folder / "my_samplers.py": OWN_SAMPLER,
        library / "losses/soft_contrastive.py": OWN_LOSS,
        library / "samplers/farthest.py": OWN_SAMPLER,
        library / "evaluation/metrics/precision_at_five.py": METRIC,
        library / "reporting/figures/recall_by_seed.py": FIGURE,
    }.items():
        file.write_text(text)
    config = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text())
    methods = config["experiments"]["even_odd"]["methods"]
    config["experiments"]["even_odd"]["methods"] = methods[:1]
    config |= {"seeds": [0], "controls": []}
    registered = {"losses": {"registered": REGISTERED["losses"]["soft"]}}
    for change in (BY_PATH, registered, LIBRARY, SAMPLER, FAR, MEASURED):
        added(config, change)
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    made = [
        paths.table("demo", "even_odd", "csv"),
        paths.figure("demo", "even_odd", "recall_by_seed", "png"),
    ]
    where = ("--configfile", file, "--directory", folder)
    done = run_snakemake("-c2", *made, *where, cwd=folder, root=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def table_of(demo: Path) -> pd.DataFrame:
    return pd.read_csv(demo / paths.table("demo", "even_odd", "csv"), comment="#")


@pytest.mark.slow
def test_a_loss_and_a_sampler_are_one_file_each_inside_the_library_or_outside(demo):
    table = table_of(demo)
    assert set(zip(table["loss"], table["sampler"], strict=True)) == {
        ("triplet", "semihard"),
        ("triplet", "eps_semihard"),
        ("soft", "semihard"),
        ("soft", "eps_semihard"),
        ("proxy_anchor", "none"),
        ("triplet", "library_miner"),
        ("triplet", "farthest"),
        ("registered", "far_inside"),
    }
    text = (demo / paths.table("demo", "even_odd", "md")).read_text()
    assert "Soft contrastive + SH + EPS" in text
    assert "Triplet + far + EPS" in text


@pytest.mark.slow
def test_a_metric_is_one_file(demo):
    table = table_of(demo)
    mine = table[table["metric"] == "precision_at_5"]
    assert len(mine) > 0
    assert mine["mean"].between(0, 100).all()
    assert set(table["metric"]) == {"recall", "nmi", "precision_at_5"}
    assert "P@5" in (demo / paths.table("demo", "even_odd", "md")).read_text()


@pytest.mark.slow
def test_a_figure_is_one_file(demo):
    for suffix in ("pdf", "png"):
        figure = demo / paths.figure("demo", "even_odd", "recall_by_seed", suffix)
        assert figure.stat().st_size > 1000
    numbers = pd.read_csv(demo / paths.figure("demo", "even_odd", "recall_by_seed", "csv"))
    assert len(numbers) == 8 * 2  # methods, parts
    caption = (demo / paths.figure("demo", "even_odd", "recall_by_seed", "rst")).read_text()
    assert caption.strip() in " ".join(FIGURE.split())
