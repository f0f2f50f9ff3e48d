"""Stanford Online Products and In-Shop from made archives in the real form to tables."""

import hashlib
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake
from made_shops import in_shop_files, in_shop_lines, sop_tables, sop_zip
from PIL import Image

#: Published counts, and what stands in their place here.
SOP = {"59551": "96", "60502": "72", "11318": "24", "11316": "24"}
IN_SHOP = {"25882": "60", "26830": "40", "14218": "24", "12612": "16", "3997": "20", "3985": "8"}
METHOD = {"loss": "triplet", "sampler": "eps"}
CONFIG = {
    "name": "shops",
    "seeds": [0, 1],
    "recipes": {
        "small": {
            **{"backbone": "small_cnn", "widths": [8, 16], "embedding_dim": 8, "image_size": 16},
            **{"batch_size": 16, "epochs": 2, "validation": 0},
        }
    },
    "selections": ["last"],
    "losses": {"triplet": {"type": "triplet", "margin": 0.2}},
    "samplers": {"eps": {"per_class": 4, "positive": "easy", "negative": "random"}},
    "experiments": {
        name: {"dataset": name, "recipe": "small", "methods": [METHOD]}
        for name in ("sop", "sop_super_class", "in_shop")
    },
    "evaluation": {"metrics": ["recall", "map_at_r", "collapse", "h_ap"], "recall_at": [1, 10]},
    "controls": ["random"],
}


def images():
    """Small JPEGs of noise in turn."""
    random = np.random.default_rng(0)
    for _ in range(50):
        file = io.BytesIO()
        pixels = random.integers(0, 256, (18, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "JPEG")
        yield file.getvalue()


def with_small_counts(root: Path, file: str, counts: dict[str, str]) -> None:
    path = root / "workflow_scripts/dmlbench/data/datasets" / file
    text = path.read_text()
    for published, small in counts.items():
        assert published in text
        text = text.replace(published, small)
    path.write_text(text)


def small_shops(root: Path) -> None:
    """A copy of the workflow with the counts and checksums of small archives, and a mirror."""
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, root / part)
    shutil.copy(ROOT / "Snakefile", root)
    with_small_counts(root, "sop.py", SOP)
    with_small_counts(root, "in_shop.py", IN_SHOP)
    for source in ("sop", "in_shop"):
        (root / "mirror" / source).mkdir(parents=True)
    archive = root / "mirror/sop/Stanford_Online_Products.zip"
    sop_zip(archive, sop_tables({"train": (96, 24), "test": (72, 24)}), images())
    table = root / "workflow_scripts/dmlbench/data/archives.yaml"
    known = "7f73d41a2f44250d4779881525aea32e"
    assert known in table.read_text()
    mine = hashlib.md5(archive.read_bytes()).hexdigest()
    table.write_text(table.read_text().replace(known, mine))
    lines = in_shop_lines({"train": (60, 20), "query": (24, 8), "gallery": (16, 8)})
    files = in_shop_files(root / "mirror/in_shop", lines, images())
    pins = {name: hashlib.sha256(Path(f).read_bytes()).hexdigest() for name, f in files.items()}
    config = CONFIG | {"data": {"mirror": "mirror", "checksums": pins}}
    (root / "shops.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.slow
def test_both_sets_go_from_their_archives_to_tables(tmp_path):
    small_shops(tmp_path)
    tables = [f"results/shops/tables/{name}.md" for name in CONFIG["experiments"]]
    folder = ("--configfile", "shops.yaml", "--directory", tmp_path)
    done = run_snakemake("-c2", *tables, *folder, cwd=tmp_path, root=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    index = pd.read_parquet(tmp_path / "data/prepared/in_shop/original/index.parquet")
    assert index["role"].value_counts().to_dict() == {"": 60, "query": 24, "gallery": 16}
    metrics = pd.read_parquet(tmp_path / "results/shops/summary/metrics.parquet")
    labels = metrics.groupby("dataset")["label"].agg(set).to_dict()
    both = {"product", "super_class"}
    assert labels == {"sop": both, "sop_super_class": both, "in_shop": {"item"}}
    found = metrics[(metrics["metric"] == "h_ap") & metrics["value"].notna()]
    assert set(found["dataset"]) == {"sop", "sop_super_class"}
    assert found["value"].between(0, 1).all()
    assert "product inside super_class" in (tmp_path / tables[1]).read_text()
    assert "inside" not in (tmp_path / tables[2]).read_text()
