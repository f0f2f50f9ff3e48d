"""A user's own table of images as a dataset."""

import numpy as np
import pandas as pd
import pytest
from conftest import error_lines, run_script
from PIL import Image

from dmlbench.config import load_config, resolve_config
from dmlbench.config.load import write_plan
from dmlbench.config.own_datasets import own_facts
from dmlbench.config.own_images import TableDataset
from dmlbench.data.folder import own_dataset
from dmlbench.data.prepare import prepare
from dmlbench.data.splits import run_index
from dmlbench.data.store import ImageStore
from dmlbench.errors import ConfigError, DataError

#: Text that readers of tables like to take for something else.
LABELS = ["007", "NA", "None", "1e5", "Ünï cödé", " a space "]


def rows(labels=LABELS, each=3, trained=3):
    """A row for each image: the first ``trained`` classes train."""
    found = []
    for number, label in enumerate(labels):
        for image in range(each):
            split = "train" if number < trained else "test"
            found.append({"path": f"images/{number}_{image}.png", "label": label, "split": split})
    return pd.DataFrame(found)


def written(folder, table, name="images.csv", **how):
    """A table with its images, each of another colour; the dataset that the config describes."""
    for number, path in enumerate(dict.fromkeys(table["path"])):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (number % 256, 0, 0)).save(file)
    if name.endswith("parquet"):
        table.to_parquet(folder / name)
    else:
        table.to_csv(folder / name, index=False, **how)
    return TableDataset(table=str(folder / name))


def prepared(folder, dataset):
    return prepare(own_dataset("mine", dataset), {}, folder / "out")


@pytest.mark.parametrize("name", ["images.csv", "images.parquet"])
def test_labels_are_text_and_come_through_unchanged(tmp_path, name):
    index = prepared(tmp_path, written(tmp_path, rows(), name))
    stored = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert stored.groupby("label", sort=False).size().to_dict() == dict.fromkeys(LABELS, 3)
    assert index.groupby("split")["label"].nunique().to_dict() == {"train": 3, "test": 3}
    assert "role" not in index


def test_a_finer_label_is_one_whose_classes_lie_in_those_of_the_other(tmp_path):
    number = np.arange(18) // 3
    table = rows().assign(kind=number % 2, label=number, other=np.arange(18) % 3, shot=range(18))
    names = ["kind", "label", "other", "shot"]
    dataset = written(tmp_path, table.astype(str)).model_copy(
        update={"labels": names, "protocol": "closed"}
    )
    assert own_facts(dataset).sub_labels == {"kind": "label", "label": "shot", "other": "shot"}


def test_a_path_that_pandas_stored_as_the_index_is_read(tmp_path):
    dataset = written(tmp_path, rows(), "images.parquet")
    rows().set_index("path").to_parquet(tmp_path / "images.parquet")
    assert own_facts(dataset).counts["train"] == 9


def test_a_test_without_a_query_is_told_when_the_config_is_read(tmp_path):
    dataset = written(tmp_path, rows().assign(role="gallery"))
    with pytest.raises(ConfigError, match="no image of the test is a query"):
        own_facts(dataset)


@pytest.mark.parametrize(
    "how", [{"encoding": "utf-8-sig"}, {"lineterminator": "\r\n"}, {"quoting": 1}]
)
def test_marks_and_line_ends_of_windows_change_nothing(tmp_path, how):
    plain = own_facts(written(tmp_path, rows()))
    assert own_facts(written(tmp_path, rows(), "windows.csv", **how)) == plain


def test_numbers_of_parquet_become_text(tmp_path):
    table = rows().assign(label=np.repeat(np.arange(6), 3))
    index = prepared(tmp_path, written(tmp_path, table, "images.parquet"))
    assert sorted(index["label"].unique()) == list("012345")


def test_several_label_columns_are_measured_and_one_is_trained_on(tmp_path):
    table = rows().assign(kind=np.tile(["x", "y", "z"], 6))
    written(tmp_path, table)
    dataset = TableDataset(
        table=str(tmp_path / "images.csv"), labels=["kind", "label"], train_label="label"
    )
    facts = own_facts(dataset)
    assert (facts.train_label, facts.train_classes) == ("label", 3)
    assert [tuple(part) for part in facts.evaluations] == [
        ("test", "", "kind"), ("test", "", "label"), ("train", "", "kind"), ("train", "", "label"),
    ]  # fmt: skip
    assert facts.shared_labels == ("kind",)
    assert facts.counts == {
        **{"train": 9, "test": 9, "train:kind": 3, "test:kind": 3},
        **{"train:label": 3, "test:label": 3},
    }


def test_rows_for_validation_are_the_validation_of_every_run(tmp_path):
    table = rows(trained=4)
    table.loc[table["label"].isin(LABELS[2:4]), "split"] = "validation"
    dataset = written(tmp_path, table)
    index = prepared(tmp_path, dataset)
    assert own_facts(dataset).own_validation
    recipe = {"test_fold": None, "validation": 0.5}
    split = run_index(index, recipe, "mine", "label")["split"]
    assert split.value_counts().to_dict() == {"train": 6, "val": 6, "test": 6}
    assert set(index.loc[split == "val", "label"]) == set(LABELS[2:4])


def test_roles_of_the_test_are_counted(tmp_path):
    table = rows().assign(role="both")
    test = table.index[table["split"] == "test"]
    table.loc[test, "role"] = ["query", "gallery", "both"] * 3
    dataset = written(tmp_path, table)
    facts, index = own_facts(dataset), prepared(tmp_path, dataset)
    assert facts.roles
    assert (facts.counts["test@query"], facts.counts["test@gallery"]) == (6, 6)
    assert index[index["split"] == "train"]["role"].eq("").all()
    assert index[index["split"] == "test"]["role"].value_counts().to_dict() == dict.fromkeys(
        ("query", "gallery", "both"), 3
    )


@pytest.mark.parametrize("as_text", [str, lambda value: float(value), lambda value: value])
def test_the_table_of_open_metric_learning_is_read_as_it_is(tmp_path, as_text):
    """Its test is called validation, its training images have no role, its labels are numbers."""
    table = rows().assign(label=np.repeat(np.arange(6), 3), category="c")
    table["split"] = table["split"].replace("test", "validation")
    test = table["split"] == "validation"
    for column, values in (("is_query", [True, False, True]), ("is_gallery", [False, True, True])):
        table[column] = pd.Series([as_text(v) for v in values * 3], table.index[test]).reindex(
            table.index
        )
    table = table.assign(x_1=2, x_2=9, y_1=1, y_2=5)
    dataset = written(tmp_path, table)
    facts = own_facts(dataset)
    assert facts.roles
    assert (facts.counts["test"], facts.counts["test@query"], facts.counts["test@gallery"]) == (
        9, 6, 6,
    )  # fmt: skip
    index = prepared(tmp_path, dataset)
    assert set(zip(index["height"], index["width"], strict=True)) == {(4, 7)}


@pytest.mark.parametrize("form", ["box", "corners"])
def test_an_image_is_cut_to_its_box_where_it_has_one(tmp_path, form):
    table = rows(each=1)
    image = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
    boxes = {"box": ["1 2 5 4", "-3, -3, 4, 5", ""]}
    if form == "corners":
        boxes = {"x_1": [1, -3, ""], "y_1": [2, -3, ""], "x_2": [5, 4, ""], "y_2": [4, 5, ""]}
    table = table.assign(**{name: values * 2 for name, values in boxes.items()})
    dataset = written(tmp_path, table)
    Image.fromarray(image).save(tmp_path / "images/0_0.png")
    Image.fromarray(image).save(tmp_path / "images/1_0.png")
    index = prepared(tmp_path, dataset)
    store = ImageStore(tmp_path / "out")
    assert np.array_equal(store.image(0)[..., 0], image[2:4, 1:5])
    assert np.array_equal(store.image(1)[..., 0], image[:5, :4])
    assert index.loc[2, ["height", "width"]].tolist() == [12, 16]
    whole = prepare(
        own_dataset("mine", dataset.model_copy(update={"crop": False})), {}, tmp_path / "whole"
    )
    assert set(whole["height"]) == {12}


def test_an_image_may_come_twice_with_other_boxes(tmp_path):
    table = pd.concat([rows(each=1)] * 2, ignore_index=True)
    table["box"] = ["0 0 4 4"] * 6 + ["4 4 9 9"] * 6
    index = prepared(tmp_path, written(tmp_path, table))
    assert index["path"].is_unique
    assert index["path"].iloc[0] == "images/0_0.png[0,0,4,4]"


def test_images_in_a_group_stay_together(tmp_path):
    table = rows().assign(role="both", group=[f"g{n // 2}" for n in range(18)])
    table.loc[9:, "role"] = ["query", "gallery", "gallery"] * 3
    with pytest.raises(ConfigError) as caught:
        own_facts(written(tmp_path, table))
    (first, second) = str(caught.value).splitlines()
    assert "1 group split in training and in the test: 'g4'" in first
    assert "2 groups split between queries and gallery" in second
    assert "'g6', 'g7'" in second
    table["group"] = [f"g{n}" for n in range(18)]
    own_facts(written(tmp_path, table))


BAD = {
    "an unknown split": (3, "split", "Test"),
    "no label": (4, "label", ""),
    "no file": (5, "path", "images/nowhere.png"),
    "twice": (6, "path", "images/0_0.png"),
    "a break": (7, "label", "a\nb"),
}


def test_everything_that_is_wrong_is_told_at_once(tmp_path, smoke_config):
    table = rows().assign(role="both", x_1=0, y_1=0, x_2=4)
    dataset = written(tmp_path, table)
    for row, column, value in BAD.values():
        table.loc[row, column] = value
    table.loc[9:, "role"] = ["query", "query", "nothing"] * 3
    table.loc[17, "label"] = "007"
    table.to_csv(dataset.table, index=False)
    smoke_config["datasets"] = {"mine": {"table": dataset.table, "labels": ["label", "lable"]}}
    with pytest.raises(ConfigError) as caught:
        resolve_config(smoke_config, "mine.yaml")
    lines = str(caught.value).splitlines()
    start = f"mine.yaml: datasets.mine.table: '{dataset.table}': "
    assert [line.removeprefix(start) for line in lines] == [
        "there is no column 'lable'; did you mean 'label'?",
        "has x_1, but no column y_2",
        "empty label in 1 row: row 5 ('images/1_1.png')",
        "line breaks or control characters in label in 1 row: row 8 ('a\\nb')",
        "an image that stands in an earlier row in 1 row: row 7 ('images/0_0.png')",
        "a split that is none of train, validation, test in 1 row: row 4 ('Test')",
        "a role in the test that is none of query, gallery, both in 3 rows: row 12 ('nothing'), "
        "row 15 ('nothing'), row 18 ('nothing')",
        f"no file of this path below '{tmp_path}' in 1 row: row 6 ('images/nowhere.png')",
        "1 class of label both in training and in the test: '007'; move all images of each to one "
        "side, or set protocol: closed",
        "a query without another image of its label in the gallery in 6 rows: row 10 "
        "('images/3_0.png'), row 11 ('images/3_1.png'), row 13 ('images/4_0.png') and 3 more",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no file '.*'; it should be a table of images"),
        (b"", "cannot be read as a table \\(Empty CSV file"),
        (b"path;label;split\na;b;c\n", "columns are separated by ';', not by commas"),
        (b'path,label,split\na,"b,test\n', "cannot be read as a table"),
        (b"path,label,split\na.png,c,d\n", r"a split that is none .* row 1 \('d'\)"),
        # A comma in a text without quotes would cut it short, and make one class of two.
        (b"path,split,label\na,test,b\nc,test,d, large\n", "Row #3: Expected 3 columns, got 4"),
        ("path,label,split\nä,b,test\n".encode("latin-1"), "byte 17 is no UTF-8; save it as"),
        (b"path,label,split,label\na,b,test,c\n", "has two columns 'label'"),
        (b"path,label,split\n", "has no rows"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(tmp_path, smoke_config, content, told):
    file = tmp_path / "images.csv"
    if content is not None:
        file.write_bytes(content)
    smoke_config["datasets"] = {"mine": {"table": str(file)}}
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "mine.yaml")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"tabel": "x"}, "datasets.mine.folder: this key is missing"),
        ({"table": "x", "train_share": 0.5}, r"datasets\.mine\.train_share: unknown key"),
        ({"table": "x", "protocol": "open"}, "should be 'disjoint' or 'closed'"),
        ({"table": "x", "labels": ["group"]}, "labels: group is a column with another meaning"),
        ({"table": "x", "train_label": "kind"}, "'kind' is none of labels"),
        (
            {"table": "x", "crops": True},
            r"datasets\.mine\.crops: unknown key .*did you mean 'crop'",
        ),
    ],
)
def test_a_mistake_in_the_config_names_its_key(smoke_config, keys, told):
    smoke_config["datasets"] = {"mine": keys}
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "test")


def test_labels_that_look_the_same_are_refused(tmp_path):
    dataset = written(tmp_path, rows(["dog", "cat", "dog ", "cow", "hen", "pig"]))
    with pytest.raises(
        ConfigError, match="label: classes whose names look the same: 'dog' and 'dog '"
    ):
        own_facts(dataset)


def test_a_closed_set_may_share_classes(tmp_path):
    table = rows()
    table["split"] = ["train", "train", "test"] * 6
    dataset = written(tmp_path, table)
    with pytest.raises(ConfigError, match="6 classes of label both in training and in the test"):
        own_facts(dataset)
    closed = own_facts(dataset.model_copy(update={"protocol": "closed"}))
    assert closed.shared_labels == ("label",)


def test_forty_images_that_cannot_be_read_are_one_report(tmp_path):
    dataset = written(tmp_path, rows(each=10))
    for number in range(40):
        (tmp_path / f"images/{number // 10}_{number % 10}.png").write_bytes(b"no image")
    done = run_script(
        *("prepare", "--dataset", "mine", "--table", dataset.model_dump_json()),
        *("--out", tmp_path / "out"),
    )
    assert done.returncode == 2
    lines = error_lines(done)
    assert "mine: 40 images cannot be read:" in lines[0]
    assert "images/0_0.png cannot be read as an image (no known image format)" in lines[1]
    assert lines[1].endswith("; mend it, or take its row out of the table")
    assert lines[-1].endswith("and 30 more")
    assert len(lines) == 12
    assert not list((tmp_path / "out").iterdir())


def test_a_box_outside_its_image_is_told(tmp_path):
    dataset = written(tmp_path, rows(each=1).assign(box="20 0 30 9"))
    with pytest.raises(DataError, match=r"images/0_0.png: nothing of its 16 x 12 pixels is in"):
        prepared(tmp_path, dataset)


def test_a_stored_plan_needs_no_table(tmp_path, smoke_config):
    dataset = written(tmp_path, rows(LABELS * 1, each=30))
    smoke_config["recipes"]["digits_8d"]["image_size"] = 8
    smoke_config["datasets"] = {"mine": {"table": dataset.table}}
    smoke_config["evaluation"] = {"recall_at": [1], "metrics": ["recall"]}
    smoke_config["experiments"]["even_odd"]["dataset"] = "mine"
    plan = resolve_config(smoke_config, "test")
    write_plan(plan, tmp_path / "results")
    (tmp_path / "images.csv").unlink()
    assert load_config(tmp_path / "results/config.json").facts("mine") == plan.facts("mine")


@pytest.mark.parametrize("name", [*LABELS, "under_score", "5$ and 6$"])
def test_figures_print_classes_unchanged(smoke_config, tmp_path, name):
    from dmlbench.reporting.names import class_name
    from dmlbench.reporting.style import paper_style, plt

    smoke_config["datasets"] = {"mine": {"table": written(tmp_path, rows()).table}}
    plan = resolve_config(smoke_config, "test")
    with paper_style():
        figure, axis = plt.subplots()
        drawn = axis.set_title(class_name(plan, "mine", name))
    text, is_formula = drawn._preprocess_math(drawn.get_text())
    plt.close(figure)
    assert (text, is_formula) == (name, False)
    assert class_name(plan, "omniglot", "a_b") == "a b"
