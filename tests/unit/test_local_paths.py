"""Every path in a config may begin with ~, and stays portable in what is stored."""

import gzip
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dmlbench.config import resolve_config
from dmlbench.config.archive_table import archive
from dmlbench.config.own_datasets import own_content
from dmlbench.data.disk import near
from dmlbench.data.download import download
from dmlbench.data.folder import own_dataset
from dmlbench.data.prepare import prepare
from dmlbench.data.vectors import imported_vectors
from dmlbench.files import checksum_of
from dmlbench.plugins.timm_names import find_weights


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with images of four classes, a table of them, and vectors; work is done elsewhere."""
    folder = tmp_path / "home"
    for label in "abcd":
        (folder / "images" / label).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((8, 8, 3), 60 * number, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"images/{label}/{number}.png")
    rows = [
        f"images/{label}/{number}.png,{label},{'train' if label in 'ab' else 'test'}\n"
        for label in "abcd"
        for number in range(2)
    ]
    (folder / "table.csv").write_text("path,label,split\n" + "".join(rows))
    np.save(folder / "vectors.npy", np.arange(16, dtype=np.float32).reshape(8, 2))
    monkeypatch.setenv("HOME", str(folder))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


def with_own(config, entry):
    config["datasets"] = {"mine": entry}
    config["experiments"]["even_odd"]["dataset"] = "mine"
    config["evaluation"] |= {"recall_at": [1], "nmi_plus": 2}
    config["selections"] = ["last"]
    return config


@pytest.mark.parametrize("entry", [{"folder": "~/images"}, {"table": "~/table.csv"}])
def test_own_images_are_found_at_home(smoke_config, home, tmp_path, entry):
    plan = resolve_config(with_own(smoke_config, entry), "test")
    own = plan.benchmark.datasets["mine"]
    assert own_content(own, tmp_path / "known.json")
    prepare(own_dataset("mine", own), {}, tmp_path / "out")
    assert (tmp_path / "out/pixels.bin").stat().st_size == 8 * 8 * 8 * 3
    # Of another user, whose home has another name.
    assert str(home) not in plan.benchmark.as_json()


def test_vectors_are_found_at_home(smoke_config, home):
    config = with_own(smoke_config, {"table": "~/table.csv"})
    config["features"] = {"other": {"file": "~/vectors.npy"}}
    config["experiments"]["even_odd"]["features"] = ["other"]
    plan = resolve_config(config, "test")
    (run,) = [run for run in plan.all_runs.values() if run.features]
    index = pd.DataFrame({"path": ["images/a/1.png"]})
    assert imported_vectors(plan, run, index)(np.array([0])).tolist() == [[2, 3]]


def test_weights_are_found_at_home(home):
    file = home / "resnet18.tv_in1k.safetensors"
    file.touch()
    for given in (f"~/{file.name}", "~/"):
        assert find_weights("resnet18", given) == ("tv_in1k", str(file))


def test_archives_and_scratch_are_found_at_home(home, tmp_path):
    content = gzip.compress(b"labels")
    (home / "mirror/mnist").mkdir(parents=True)
    name = "t10k-labels-idx1-ubyte.gz"
    (home / "mirror/mnist" / name).write_bytes(content)
    right = {"sha256": checksum_of(home / "mirror/mnist" / name), "bytes": len(content)}
    wanted = replace(archive("mnist", name), **right)
    for given in ({"mirror": "~/mirror"}, {"own": f"~/mirror/mnist/{name}"}):
        target = tmp_path / f"{next(iter(given))}.gz"
        download(wanted, target, **given)
        assert target.read_bytes() == content
    for file in ("index.parquet", "pixels.bin"):
        (tmp_path / file).write_bytes(b"x")
    with near(tmp_path, "~/mirror") as copy:
        assert copy.parent == home / "mirror"
