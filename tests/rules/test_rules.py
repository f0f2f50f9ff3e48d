"""Each rule alone: its inputs copied into an empty folder, its outputs compared by meaning."""

import json
import re
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
COPIES = f"{DATA}/duplicates.parquet"
SUMMARY = "results/smoke/summary"
RUNS = "results/smoke/runs/*/*/*/*/*"
PICTURED = ("projection", "neighbours", "similarities")
RUN_FILES = [
    f"results/smoke/runs/*/*/*/*/*/{f}" for f in ("metrics.json", "history.csv", "run.json")
]


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


def test_duplicates(alone, smoke_run):
    folder = alone("duplicates", COPIES, STORE)
    found = pd.read_parquet(folder / COPIES)
    pd.testing.assert_frame_equal(found, pd.read_parquet(smoke_run / COPIES))
    index = pd.read_parquet(smoke_run / STORE[0]).set_index("id")
    mine, other = index.loc[found["id"]], index.loc[found["of"]]
    assert set(mine["split"]) <= {"test"}
    assert (mine["content"].to_numpy() == other["content"].to_numpy()).all()


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
    inputs = [STORE[0], COPIES, f"{RUN}/run.json", f"{RUN}/embeddings_*"]
    folder = alone("evaluate", file, inputs)
    assert (folder / file).read_bytes() == (smoke_run / file).read_bytes()


def test_project(alone, smoke_run):
    file = f"{RUN}/projection_test.parquet"
    folder = alone(
        "project", file, [STORE[0], f"{RUN}/run.json", f"{RUN}/embeddings_test_last.npz"]
    )
    table = pd.read_parquet(folder / file)
    pd.testing.assert_frame_equal(table, pd.read_parquet(smoke_run / file))
    assert len(table) == 300
    assert table[["x", "y"]].notna().all(axis=None)


def test_collect(alone, smoke_run):
    file = f"{SUMMARY}/metrics.parquet"
    folder = alone("collect", file, RUN_FILES)
    table = pd.read_parquet(folder / file)
    pd.testing.assert_frame_equal(table, pd.read_parquet(smoke_run / file))
    assert table.groupby(["recipe", "loss", "sampler", "seed"]).ngroups == 4 + 3  # controls
    for name in ("runs.parquet", "history.parquet", "curves.csv"):
        assert (folder / SUMMARY / name).read_bytes() == (smoke_run / SUMMARY / name).read_bytes()


def test_control(alone, smoke_run):
    for kind, dimension in (("random-embedding", 8), ("untrained-backbone", 64)):
        place = f"results/smoke/runs/digits_even_odd/digits_8d/{kind}/none/seed0"
        file = f"{place}/embeddings_test_last.npz"
        folder = alone("control", file, STORE)
        vectors, ids = arrays(folder / file)
        expected, expected_ids = arrays(smoke_run / file)
        assert np.allclose(vectors, expected, atol=1e-6)
        assert (ids == expected_ids).all()
        assert vectors.shape == (1077, dimension)
        record = json.loads((folder / place / "run.json").read_text())
        assert record["selected_epochs"] == {"last": 0}
        theirs = json.loads((smoke_run / RUN / "run.json").read_text())
        assert record["data"] == theirs["data"]
        if kind == "untrained-backbone":  # trainings start from the same weights
            assert record["initial_weights"] == theirs["initial_weights"]


def test_check(alone, smoke_run):
    file = f"{SUMMARY}/check.json"
    found = json.loads((alone("check", file, RUN_FILES) / file).read_text())
    assert found["breaches"] == []
    assert found["runs"] == {"ok": 7}
    ledger = pd.read_csv(smoke_run / SUMMARY / "ledger.csv")
    assert (ledger["state"] == "ok").all()
    assert len(ledger) == 7


def test_tables(alone, smoke_run):
    file = "results/smoke/tables/even_odd"
    names = ("metrics.parquet", "runs.parquet", "check.json", "ledger.csv")
    inputs = [f"{SUMMARY}/{name}" for name in names]
    folder = alone("tables", f"{file}.csv", inputs)
    for suffix in (".csv", ".md", ".tex", "_tests.csv"):
        mine, theirs = (Path(f"{f}/{file}{suffix}") for f in (folder, smoke_run))
        assert mine.read_text() == theirs.read_text()


@pytest.mark.parametrize("overview", ["leaderboard", "cost"])
def test_overview(alone, smoke_run, overview):
    file = f"results/smoke/tables/{overview}"
    folder = alone("overview", f"{file}.csv", [f"{SUMMARY}/*"])
    for suffix in ("csv", "md", "tex"):
        mine, theirs = (Path(f"{f}/{file}.{suffix}") for f in (folder, smoke_run))
        assert mine.read_text() == theirs.read_text()


def test_document(alone):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    file = "results/smoke/tables/results.pdf"
    folder = alone("document", file, ["results/smoke/tables/*", "results/smoke/figures/*"])
    assert (folder / file).read_bytes()[:5] == b"%PDF-"
    source = (folder / file).with_suffix(".tex").read_text()
    for part in ("even_odd.tex", "leaderboard.tex", "cost.tex", "embedding_even_odd.pdf"):
        assert part in source


def test_illustrate(alone, smoke_run):
    files = [f"{RUN}/neighbours_test.parquet", f"{RUN}/similarities_test.parquet"]
    folder = alone(
        "illustrate", files[0], [STORE[0], f"{RUN}/run.json", f"{RUN}/embeddings_test_last.npz"]
    )
    for file in files:
        table = pd.read_parquet(folder / file)
        pd.testing.assert_frame_equal(table, pd.read_parquet(smoke_run / file))
    found = pd.read_parquet(folder / files[0])
    assert found.groupby(["subset", "query"])["rank"].max().eq(6).all()
    assert set(found["subset"]) == {"seen", "unseen"}


def test_figures(alone, smoke_run):
    from matplotlib.image import imread

    folder = alone(
        "figures_even_odd",
        "results/smoke/figures/recall_per_epoch_even_odd.png",
        [f"{SUMMARY}/*", *STORE, *(f"{RUNS}/{n}_*" for n in PICTURED)],
    )
    made = sorted((smoke_run / "results/smoke/figures").glob("*.png"))
    assert len(made) >= 6
    for theirs in made:
        mine = imread(folder / theirs.relative_to(smoke_run))
        assert mine.shape == imread(theirs).shape
        assert np.abs(mine - imread(theirs)).mean() < 0.01
        assert (mine.std(axis=(0, 1))[:3] > 0.02).all()  # not an empty page


def test_summary(alone):
    file = "results/smoke/report/summary.html"
    made = ["results/smoke/tables/*", f"{SUMMARY}/*", ".snakemake/metadata"]
    folder = alone("summary", file, [*made, *RUN_FILES])
    page = (folder / file).read_text()
    assert "<th>training seconds</th>" in page
    assert "<span>7 ok</span>" in page  # four trainings and three controls
    page = (folder / "results/smoke/report/experiments/even_odd.html").read_text()
    (number,) = re.findall(r'<section id="(runs-\d+)">\n<h3>Triplet \+ EPS</h3>', page)
    assert re.search(rf'<a href="#{number}">[^<]*[\d.]+ ± [\d.]+', page)
    assert "results/smoke/runs/digits_even_odd/digits_8d/triplet/eps/seed1" in page


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
