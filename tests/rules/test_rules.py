"""Each rule alone: its inputs copied into an empty folder, its outputs compared by meaning."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake
from PIL import Image

RUN = "results/smoke/runs/digits_even_odd/digits_8d/triplet/eps/seed0"
DATA = "data/prepared/digits_even_odd/original"
STORE = [f"{DATA}/index.parquet", f"{DATA}/pixels.bin"]
SUMMARY = "results/smoke/summary"


@pytest.fixture
def alone(smoke_run, smoke_file, tmp_path):
    """Run one rule with only the inputs it declares; returns the folder."""

    def run(rule: str, target: str, inputs: list[str]) -> Path:
        for name in inputs:
            for source in smoke_run.glob(name):
                copy = tmp_path / source.relative_to(smoke_run)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, copy)
                else:
                    shutil.copy2(source, copy)
        done = run_snakemake(
            *("-c1", target, "--force", "--allowed-rules", rule, "--notemp"),
            *("--configfile", smoke_file, "--directory", tmp_path),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return tmp_path

    return run


def arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as stored:
        return stored["embeddings"], stored["ids"]


@pytest.mark.parametrize(
    "place",
    ["mirror: {folder}", "files: {{t10k-labels-idx1-ubyte.gz: {folder}/mnist/{file}}}"],
)
def test_download(tmp_path, shared_data, place):
    target = "data/raw/mnist/t10k-labels-idx1-ubyte.gz"
    place = place.format(folder=shared_data.as_uri(), file=Path(target).name)
    done = run_snakemake(
        *("-c1", target, "--directory", tmp_path, "--configfile", ROOT / "configs/mnist.yaml"),
        *("--config", f"data={{{place}}}"),
    )
    assert done.returncode == 0, done.stderr
    original = shared_data / "mnist" / "t10k-labels-idx1-ubyte.gz"
    assert (tmp_path / target).read_bytes() == original.read_bytes()


def test_prepare(alone, smoke_run):
    folder = alone("prepare", STORE[0], [])
    index = pd.read_parquet(folder / STORE[0])
    pd.testing.assert_frame_equal(index, pd.read_parquet(smoke_run / STORE[0]))
    assert (folder / STORE[1]).stat().st_size == 1797 * 64


def test_train(alone, smoke_run):
    folder = alone("train", f"{RUN}/run.json", STORE)
    times = ["seconds", "images_per_second"]
    mine, theirs = (pd.read_csv(f / RUN / "history.csv") for f in (folder, smoke_run))
    pd.testing.assert_frame_equal(mine.drop(columns=times), theirs.drop(columns=times))
    for name in ("last", "val", "test_max"):
        file = f"{RUN}/model_{name}.safetensors"
        assert (folder / file).read_bytes() == (smoke_run / file).read_bytes()


def test_embed(alone, smoke_run):
    file = f"{RUN}/embeddings_test_last.npz"
    folder = alone("embed", file, [*STORE, f"{RUN}/run.json", f"{RUN}/model_*"])
    vectors, ids = arrays(folder / file)
    expected, expected_ids = arrays(smoke_run / file)
    assert np.allclose(vectors, expected, atol=1e-6)
    assert (ids == expected_ids).all()
    assert vectors.shape == (1077, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_evaluate(alone, smoke_run):
    file = f"{RUN}/metrics.json"
    folder = alone("evaluate", file, [STORE[0], f"{RUN}/run.json", f"{RUN}/embeddings_*"])
    assert (folder / file).read_bytes() == (smoke_run / file).read_bytes()


def test_project(alone, smoke_run):
    file = f"{RUN}/projection_test.parquet"
    folder = alone("project", file, [STORE[0], f"{RUN}/embeddings_test_last.npz"])
    table = pd.read_parquet(folder / file)
    pd.testing.assert_frame_equal(table, pd.read_parquet(smoke_run / file))
    assert len(table) == 300
    assert table[["x", "y"]].notna().all(axis=None)


def test_collect(alone, smoke_run):
    runs = "results/smoke/runs/*/*/*/*/*"
    file = f"{SUMMARY}/metrics.parquet"
    folder = alone(
        "collect", file, [f"{runs}/metrics.json", f"{runs}/history.csv", f"{runs}/run.json"]
    )
    table = pd.read_parquet(folder / file)
    pd.testing.assert_frame_equal(table, pd.read_parquet(smoke_run / file))
    assert table.groupby(["loss", "sampler", "seed"]).ngroups == 4


def test_tables(alone, smoke_run):
    file = "results/smoke/tables/even_odd"
    folder = alone("tables", f"{file}.csv", [f"{SUMMARY}/metrics.parquet"])
    for suffix in ("csv", "md", "tex"):
        mine, theirs = (Path(f"{f}/{file}.{suffix}") for f in (folder, smoke_run))
        assert mine.read_text() == theirs.read_text()


@pytest.mark.parametrize("kind", ["recall_per_epoch", "embedding"])
def test_figures(alone, smoke_run, kind):
    from matplotlib.image import imread

    file = f"results/smoke/figures/{kind}_even_odd.png"
    inputs = [f"{SUMMARY}/history.parquet", "results/smoke/runs/*/*/*/*/*/projection_*"]
    folder = alone("figures", file, inputs)
    mine, theirs = imread(folder / file), imread(smoke_run / file)
    assert mine.shape == theirs.shape
    assert np.abs(mine - theirs).mean() < 0.01
    assert (mine.std(axis=(0, 1))[:3] > 0.02).all()  # not an empty page


def test_theory(smoke_file, tmp_path):
    done = run_snakemake("-c1", "theory", "--configfile", smoke_file, "--directory", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "results/smoke/theory"
    table = pd.read_parquet(folder / "collapse.parquet")
    assert table.groupby(["loss", "eps", "p", "kind"]).ngroups == 3 * 2 * 2 * 3
    assert {f.suffix for f in folder.iterdir()} == {
        *(".parquet", ".csv", ".md", ".tex", ".pdf", ".png")
    }
    assert "table:  results/smoke/theory/collapse.md" in done.stdout
    assert "report:" not in done.stdout


def test_summary(alone):
    file = "results/smoke/report/summary.html"
    folder = alone("summary", file, ["results/smoke/tables/*", f"{SUMMARY}/runs.parquet"])
    page = (folder / file).read_text()
    assert "Triplet + EPS" in page
    assert "<th>training seconds</th>" in page


def test_report(alone):
    file = "results/smoke/report/report.html"
    page = (alone("report", file, ["results", ".snakemake/metadata", "data"]) / file).read_text()
    for part in ("Summary", "Tables", "Figures"):
        assert part in page


def test_prepare_and_summarise_take_a_folder_of_ones_own(tmp_path, smoke_config):
    for number in range(4):
        place = tmp_path / "images" / f"class{number}"
        place.mkdir(parents=True)
        for image in range(3):
            Image.new("RGB", (9, 8 + image), (60 * number, 0, 0)).save(place / f"{image}.png")
    smoke_config["datasets"] = {"mine": {"folder": str(tmp_path / "images")}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(smoke_config))
    folder = tmp_path / "data/prepared/mine/original"
    where = ("--configfile", file, "--directory", tmp_path)
    done = run_snakemake("-c1", folder.relative_to(tmp_path) / "summary.txt", *where)
    assert done.returncode == 0, done.stdout + done.stderr
    index = pd.read_parquet(folder / "index.parquet")
    assert index.groupby("split")["class"].unique().apply(list).to_dict() == {
        "test": ["class2", "class3"],
        "train": ["class0", "class1"],
    }
    assert "mine: 12 images, 8 to 10 pixels a side" in (folder / "summary.txt").read_text()
    assert (folder / "images.png").stat().st_size > 100
    (tmp_path / "images/class0/0.png").unlink()
    assert "prepare" in run_snakemake("-n", folder / "index.parquet", *where).stdout
