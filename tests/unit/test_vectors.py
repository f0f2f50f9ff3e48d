"""Vectors that another model made, measured like any run."""

import numpy as np
import pandas as pd
import pytest
from test_tables import rows, written

from dmlbench.config import load_config, resolve_config
from dmlbench.config.load import write_plan
from dmlbench.data.folder import own_dataset
from dmlbench.data.prepare import prepare
from dmlbench.data.vectors import imported_vectors, read_vectors
from dmlbench.errors import ConfigError, DataError
from dmlbench.reporting import names

VECTORS = np.random.default_rng(0).standard_normal((18, 5))


def stored(folder, name, vectors=VECTORS, paths=None):
    file = folder / name
    if name.endswith("npy"):
        np.save(file, vectors)
    elif name.endswith("npz"):
        np.savez(file, embeddings=vectors, **({} if paths is None else {"paths": paths}))
    elif name == "lists.parquet":
        pd.DataFrame({"vector": list(vectors)}).to_parquet(file)
    else:
        table = pd.DataFrame(vectors, columns=[f"d{n}" for n in range(vectors.shape[1])])
        (table if paths is None else table.assign(path=paths)).to_parquet(file)
    return file


@pytest.fixture
def planned(tmp_path, smoke_config):
    """A config that measures one file on a table; what gives the plan of another file."""
    table = rows().sample(frac=1, random_state=1)  # not in the order of the index
    dataset = written(tmp_path, table)
    index = prepare(own_dataset("mine", dataset), {}, tmp_path / "out")

    def plan(file):
        smoke_config["datasets"] = {"mine": {"table": dataset.table}}
        smoke_config["recipes"]["digits_8d"]["image_size"] = 8
        smoke_config["features"] = {"clip": {"file": str(file), "title": "CLIP"}}
        smoke_config["evaluation"] = {"recall_at": [1], "metrics": ["recall"]}
        smoke_config["experiments"] = {
            "mine": {"dataset": "mine", "recipe": "digits_8d", "features": ["clip"]}
        }
        return resolve_config(smoke_config, "test")

    return table, index, plan


def vectors_of(plan, index):
    (run,) = (run for run in plan.all_runs.values() if run.features)
    return imported_vectors(plan, run, index)(np.arange(len(index)))


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v.parquet", "lists.parquet"])
def test_rows_are_those_of_the_table(tmp_path, planned, name):
    table, index, plan = planned
    found = vectors_of(plan(stored(tmp_path, name)), index)
    expected = dict(zip(table["path"], VECTORS.astype(np.float32), strict=True))
    assert found.dtype == np.float32
    assert all(np.array_equal(expected[p], v) for p, v in zip(index["path"], found, strict=True))


@pytest.mark.parametrize("name", ["v.npz", "v.parquet"])
def test_paths_say_whose_they_are_and_others_need_none(tmp_path, planned, name):
    table, index, plan = planned
    some = table[table["split"] == "test"]["path"].to_numpy(dtype=str)
    made = plan(stored(tmp_path, name, VECTORS[:9], some))
    (run,) = (run for run in made.all_runs.values() if run.features)
    of_rows = imported_vectors(made, run, index)
    test = np.flatnonzero(index["split"] == "test")
    expected = dict(zip(some, VECTORS[:9].astype(np.float32), strict=True))
    for path, vector in zip(index["path"].to_numpy()[test], of_rows(test), strict=True):
        assert np.array_equal(expected[path], vector)
    with pytest.raises(DataError, match=r"has no vector for 9 of 18 images .* such as 'images/0_0"):
        of_rows(np.arange(18))


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (VECTORS[:7], "holds 7 vectors for 18 rows of the table"),
        (np.where(VECTORS > 2, np.nan, VECTORS), "vectors hold NaN or infinity"),
        (VECTORS[0], "holds 5 of float64, should be N x D real numbers"),
        (VECTORS.astype(str), "should be N x D real numbers"),
        (VECTORS.astype(complex), "should be N x D real numbers"),
        (VECTORS[:, :0], "should be N x D real numbers"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, planned, vectors, told):
    _, index, plan = planned
    # Whatever it was when the config was read.
    made = plan(stored(tmp_path, "v.npy", VECTORS))
    stored(tmp_path, "v.npy", vectors)
    with pytest.raises(DataError, match=told) as caught:
        vectors_of(made, index)
    assert len(str(caught.value).splitlines()) == 1


def test_a_damaged_file_is_one_line(tmp_path):
    for name in ("v.npy", "v.npz", "v.parquet"):
        (tmp_path / name).write_bytes(b"something else")
        with pytest.raises(DataError, match="no vectors can be read"):
            read_vectors(tmp_path / name)


def test_paths_are_found_where_they_could_be_overlooked(tmp_path):
    named = [f"{number}.png" for number in range(len(VECTORS))]
    frame = pd.DataFrame(VECTORS, columns=list("abcde"), index=pd.Index(named, name="path"))
    frame.to_parquet(tmp_path / "index.parquet")
    np.savez(tmp_path / "path.npz", vectors=VECTORS, path=named)
    for name in ("index.parquet", "path.npz"):
        vectors, paths = read_vectors(tmp_path / name)
        assert np.array_equal(vectors, VECTORS.astype(np.float32))
        assert paths.tolist() == named


def test_what_may_be_no_dimension_is_refused(tmp_path):
    plain = pd.DataFrame(VECTORS, columns=list("abcde"))
    lists = pd.DataFrame({"vector": list(VECTORS)})
    for frame, column in (
        (plain.assign(kind=1), "kind"),
        (plain.assign(label=1), "label"),
        (plain.assign(group=1), "group"),
        (plain.assign(word="x"), "word"),
        (lists.assign(other=list(VECTORS)), "vector"),
        (lists.assign(age=1), "vector"),
    ):
        frame.to_parquet(tmp_path / "v.parquet")
        with pytest.raises(DataError, match=f"its column '{column}' is no dimension"):
            read_vectors(tmp_path / "v.parquet", ["kind"])
    np.savez(tmp_path / "v.npz", a=VECTORS, b=VECTORS)
    with pytest.raises(DataError, match="one array besides paths, but there is: a, b"):
        read_vectors(tmp_path / "v.npz")
    np.savez(tmp_path / "v.npz", a=VECTORS, paths=np.array([b"x"] * len(VECTORS)))
    with pytest.raises(DataError, match=r"paths should be text: numpy.array\(paths, dtype=str\)"):
        read_vectors(tmp_path / "v.npz")


def test_they_are_planned_as_one_run_that_follows_the_file(tmp_path, planned, smoke_config):
    _, _, plan = planned
    made = plan(stored(tmp_path, "v.npy"))
    (run,) = (run for run in made.all_runs.values() if run.features)
    assert run.id == "mine/digits_8d/features-clip/none/seed0"
    assert not run.trained
    assert not made.runs  # nothing is trained
    (line, *_) = names.lines_of(made, "mine")
    assert (line["method"], line["planned"]) == ("CLIP", 1)
    write_plan(made, tmp_path / "results")
    read = load_config(tmp_path / "results/config.json")
    assert read.fingerprint(run) == made.fingerprint(run)
    np.save(tmp_path / "v.npy", VECTORS + 1)
    assert resolve_config(smoke_config, "test").fingerprint(run) != made.fingerprint(run)


@pytest.mark.parametrize(
    ("features", "asked", "told"),
    [
        ({"clip": {"file": "nowhere.npy"}}, ["clip"], "features.clip.file: there is no file"),
        ({"clip": {"file": "v.csv"}}, ["clip"], r"features\.clip\.file: string should match"),
        ({}, ["clip"], r"experiments\.mine\.features: no such entry \(got 'clip'\)"),
        ({}, [], "there is nothing to compare: give methods, or features"),
    ],
)
def test_a_mistake_in_the_config_names_its_key(smoke_config, features, asked, told):
    smoke_config["features"] = features
    smoke_config["experiments"]["mine"] = {
        "dataset": "digits_even_odd", "recipe": "digits_8d", "features": asked,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "test")


def test_a_config_without_vectors_is_stored_as_before(smoke_config):
    benchmark = resolve_config(smoke_config, "test").benchmark
    assert "features" not in benchmark.model_dump()
    assert "features" not in benchmark.experiments["even_odd"].model_dump()
