"""Queries apart from their gallery: metrics, counts, figures and rules."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import make_results, write_metrics
from metric_loops import ranking, roles_of
from metric_loops import retrieval as loop
from test_retrieval import KINDS, data, equal, retrieval

from dmlbench import paths
from dmlbench.checking.check import check
from dmlbench.checking.results import Results
from dmlbench.config import Plan, resolve_config
from dmlbench.config.dataset_facts import DatasetFacts, Part, Roles
from dmlbench.config.measure_checks import measure_problems
from dmlbench.config.settings import Evaluation
from dmlbench.data.dataset import Dataset, Record
from dmlbench.data.prepare import prepare
from dmlbench.errors import DataError
from dmlbench.evaluation.illustrations import neighbours_of, queries, similarity_histogram
from dmlbench.evaluation.metric import Sample
from dmlbench.evaluation.run_metrics import measure_images, part_counts
from dmlbench.neighbours import knn

TEST = Part("test", "", "label")


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 50), both=st.booleans())
@settings(max_examples=12)
def test_equals_the_loop(kind, seed, count, both):
    points, labels, ids = data(kind, count, 4, seed)
    roles = roles_of(count, np.random.default_rng(seed), both)
    most = max(map(len, ranking(points, ids, roles).values()))
    ks = sorted({1, min(2, most), most})
    expected = loop(points, labels, ids, ks, roles)
    equal(retrieval(points, labels, ids, ks, roles=roles), expected)
    assert knn.recall_at(points, labels, ids, most, roles) == pytest.approx(expected[most])


@pytest.mark.parametrize("kind", KINDS)
def test_small_blocks_and_no_help_of_faiss_change_nothing(kind, monkeypatch):
    points, labels, ids = data(kind, 120, 5, seed=1)
    roles = roles_of(120, np.random.default_rng(1))
    expected = loop(points, labels, ids, [1, 4], roles)
    monkeypatch.setattr(knn, "ENTRIES", 64)
    monkeypatch.setattr(knn, "BLOCK", 16)
    equal(retrieval(points, labels, ids, [1, 4], roles=roles, threads=2), expected)
    monkeypatch.setattr(knn, "PADDING", 0)  # faiss settles little
    equal(retrieval(points, labels, ids, [1, 4], roles=roles), expected)
    monkeypatch.setattr(knn, "LONG", 1)
    equal(retrieval(points, labels, ids, [1, 4], roles=roles), expected)


def test_a_large_gallery_is_searched_in_more_blocks_with_the_same_result(monkeypatch):
    points, labels, ids = data("duplicates", 600, 8, seed=3)
    roles = roles_of(600, np.random.default_rng(3))
    whole = retrieval(points, labels, ids, [1, 4], roles=roles)
    monkeypatch.setattr(knn, "LARGE", 1)
    monkeypatch.setattr(knn, "FEWER", 7)
    # Sums are rounded once for each part.
    equal(retrieval(points, labels, ids, [1, 4], roles=roles), whole)


@pytest.mark.parametrize("kind", ["plain", "copies"])
def test_equals_pytorch_metric_learning_with_a_reference_of_its_own(kind):
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    rng = np.random.default_rng(5)
    labels = rng.integers(0, 90, 500)
    points = (rng.normal(size=(90, 12))[labels] + rng.normal(size=(500, 12))).astype(np.float32)
    gallery = rng.random(500) < 0.5
    gallery &= labels > 4  # queries of five classes have no match
    if kind == "copies":  # each image of the gallery twice; whichever is first, the class is right
        points, labels = (np.concatenate([a, a[gallery]]) for a in (points, labels))
        gallery = np.concatenate([gallery, np.ones(gallery.sum(), dtype=bool)])
    names = {"precision_at_1": 1, "r_precision": "r_precision"}
    names |= {"mean_average_precision_at_r": "map_at_r", "mean_reciprocal_rank": "mrr"}
    pairs = (torch.from_numpy(a[mask]) for mask in (~gallery, gallery) for a in (points, labels))
    # Its MRR looks only at k neighbours: here at all.
    calculator = AccuracyCalculator(include=tuple(names), k=int(gallery.sum()))
    found = calculator.get_accuracy(*pairs, ref_includes_query=False)
    ours = retrieval(points, labels, np.arange(len(labels)), [1], roles=Roles(~gallery, gallery))
    paired = np.isin(labels[~gallery], labels[gallery])  # theirs leaves the others out
    assert not paired.all()
    ours[1] /= paired.mean()
    for theirs, name in names.items():
        assert ours[name] == pytest.approx(found[theirs], abs=1e-6), name


@pytest.mark.parametrize("role", ["gallery", "both"])
def test_a_gallery_of_one_image(role):
    points = np.array([[0.0], [1.0], [5.0]], dtype=np.float32)
    roles = Roles(np.array([role == "both", True, True]), np.array([True, False, False]))
    found = retrieval(points, np.array([0, 0, 1]), np.arange(3), [1], roles=roles)
    # The second image finds it, the third has no match, the first is alone in the gallery.
    asked = roles.queries.sum()
    assert found == {1: 1 / asked, "r_precision": 1.0, "map_at_r": 1.0, "mrr": 1.0}
    with pytest.raises(DataError, match="2 neighbours are more than the 1 others"):
        retrieval(points, np.array([0, 0, 1]), np.arange(3), [2], roles=roles)


def test_no_query_has_a_match():
    points, _, ids = data("plain", 8, 3, seed=0)
    roles = Roles(np.arange(8) < 4, np.arange(8) >= 4)
    found = retrieval(points, np.arange(8), ids, [1, 4], roles=roles)
    assert found == {1: 0.0, 4: 0.0, "r_precision": None, "map_at_r": None, "mrr": None}


@pytest.mark.parametrize("kind", KINDS)
def test_where_each_image_is_both_no_bit_changes(kind):
    points, labels, ids = data(kind, 200, 4, seed=6)
    both = Roles(*np.ones((2, 200), dtype=bool))
    assert retrieval(points, labels, ids, [1, 5]) == retrieval(
        points, labels, ids, [1, 5], roles=both
    )
    assert knn.recall_at(points, labels, ids, 5, both) == knn.recall_at(points, labels, ids, 5)


def test_the_order_of_rows_changes_no_bit():
    points, labels, ids = data("duplicates", 200, 3, seed=4)
    roles = roles_of(200, np.random.default_rng(4))
    other = np.random.default_rng(0).permutation(200)
    shuffled = points[other], labels[other], ids[other]
    assert retrieval(points, labels, ids, [1, 3], roles=roles) == retrieval(
        *shuffled, [1, 3], roles=Roles(*(mask[other] for mask in roles))
    )


def test_self_is_left_out_by_its_id_and_a_copy_is_found():
    # Two images of one place: the first is a query and in the gallery, the second in the gallery.
    points = np.array([[0.0], [0.0], [9.0]], dtype=np.float32)
    roles = Roles(np.array([True, False, False]), np.array([True, True, True]))
    gallery = knn.Gallery(points, np.arange(3), roles=roles)
    ((rows, found),) = gallery.search(2)
    assert gallery.order[rows].tolist() == [0]
    assert gallery.order[found].tolist() == [[1, 2]]


@pytest.mark.parametrize("roles", [(True, False), (False, True)])
def test_nothing_to_ask_or_to_search_is_refused(roles):
    masks = [np.full(4, role) for role in roles]
    with pytest.raises(ValueError, match="no query, or no image in the gallery"):
        knn.Gallery(np.zeros((4, 2), np.float32), np.arange(4), roles=tuple(masks))


def test_notes_say_the_sizes_and_how_queries_without_a_match_count():
    points, _, ids = data("plain", 6, 3, seed=0)
    roles = Roles(np.arange(6) < 4, np.arange(6) >= 3)
    labels = np.array([0, 1, 2, 1, 0, 1])
    sample = Sample(points, labels, ids, Evaluation(recall_at=[1], kmeans_seeds=[0]), roles=roles)
    rows = measure_images(sample, ["recall", "map_at_r", "nmi"])
    notes = {row["metric"]: row["note"] for row in rows}
    size = "4 queries in a gallery of 3; 1 without a match"
    assert notes["recall"] == f"{size} counted as missed"
    assert notes["map_at_r"] == f"{size} left out"
    assert notes["nmi"].endswith("of all images, queries and gallery")


def index_of(roles, labels, content=None):
    count = len(labels)
    whole = {"id": range(count), "split": "test", "subset": "", "role": roles, "label": labels}
    return pd.DataFrame(whole | {"content": range(count) if content is None else content})


def test_a_part_is_counted_by_eye():
    roles = ["query", "query", "both", "gallery", "gallery", "query"]
    # The last query has no match; the images 3 and 2 are copies of the queries 0 and 1.
    index = index_of(roles, list("aabbac"), content=[0, 1, 1, 0, 4, 5])
    counts = part_counts(TEST, index)
    assert (counts["queries"], counts["gallery"], counts["images"]) == (4, 3, 6)
    assert (counts["unmatched"], counts["copies"], counts["classes"]) == (1, 2, 3)
    # Whatever the embedding: two have a copy as the nearest, the last one has no match.
    assert counts["fixed"] == 3
    # Each a finds one of three, the image that is both one of two others, c none.
    assert counts["chance"] == pytest.approx((1 / 3 + 1 / 3 + 1 / 2 + 0) / 4)
    # An image is no copy of itself.
    assert part_counts(TEST, index_of(["both", "gallery"], list("aa")))["copies"] == 0


def test_roles_are_only_those_of_a_test():
    index = index_of(["query", "gallery", "both"], list("aab"))
    assert part_counts(TEST, index)["gallery"] == 2
    train = index.assign(split="train", role="")
    assert Part("train", "", "label").roles(train) is None
    whole = part_counts(Part("train", "", "label"), train)
    assert (whole["queries"], whole["gallery"]) == (3, 2)
    assert "images" not in whole


def test_figures_show_queries_their_gallery_and_pairs_of_the_two():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((60, 4)).astype(np.float32)
    labels, ids, roles = rng.integers(0, 9, 60), rng.permutation(60), roles_of(60, rng)
    order = ranking(points, ids, roles)
    asked = queries(labels, ids, 60, roles)
    matched = {i for i, found in order.items() if (labels[found] == labels[i]).any()}
    assert set(asked) == set(ids[sorted(matched)])
    found = neighbours_of(points, labels, ids, asked[:3], 4, roles)
    for query, mine in found.groupby("query"):
        (row,) = np.flatnonzero(ids == query)
        assert mine["id"].tolist() == ids[order[row][:4]].tolist()
        assert mine["right"].tolist() == (labels[order[row][:4]] == labels[row]).tolist()
    table = similarity_histogram(points, labels, 1000, roles)
    pairs = [(i, j) for i, others in order.items() for j in others]
    near = np.array([-np.square(points[i].astype(float) - points[j]).sum() for i, j in pairs])
    genuine = np.array([labels[i] == labels[j] for i, j in pairs])
    inside = near >= table["left"].iloc[0]
    assert table["genuine"].sum() == pytest.approx(inside[genuine].mean())
    assert table["impostor"].sum() == pytest.approx(inside[~genuine].mean())


FACTS = {"train_label": "label", "train_classes": 2, "evaluations": [TEST], "roles": True}


def shop(*roles):
    """A dataset of two training images and test images of these roles."""
    facts = DatasetFacts(**FACTS, counts={"train": 2, "test": len(roles)})

    class Shop(Dataset):
        """Made."""

        def records(self, raw):
            rows = [("train", ""), ("train", ""), *(("test", role) for role in roles)]
            for number, (split, role) in enumerate(rows):
                image = np.full((2, 2, 3), number, dtype=np.uint8)
                yield Record(f"{number}", split, {"label": number % 2}, image, role=role)

    Shop.name, Shop.facts = "shop", facts
    return Shop


def test_roles_are_prepared_and_wrong_ones_refused(tmp_path):
    index = prepare(shop("query", "gallery", "both"), {}, tmp_path / "right")
    assert index["role"].tolist() == ["", "", "query", "gallery", "both"]
    for roles, what in {
        ("query", "gallery", ""): "shop: 4 has the role ''; take one of query, gallery, both",
        ("query", "query"): "shop: none of the images of test label is for the gallery",
        ("gallery", "gallery"): "shop: none of the images of test label is for the queries",
    }.items():
        with pytest.raises(DataError, match=f"^{what}$"):
            prepare(shop(*roles), {}, tmp_path / "wrong")
        assert not list((tmp_path / "wrong").iterdir())


@pytest.mark.parametrize(("k", "problems"), [(12, 0), (13, 1)])
def test_a_k_larger_than_the_gallery_is_told_before_anything_runs(k, problems):
    counts = {"test": 30, "test@query": 20, "test@gallery": 12}
    facts = DatasetFacts(**FACTS, counts=counts)
    told = list(measure_problems(Evaluation(recall_at=[k]), "shop", facts, counts))
    assert len(told) == problems
    assert all("13 is more than the 12 images in the gallery of shop test" in one for one in told)


def test_the_checker_holds_queries_and_gallery_against_their_counts(
    smoke_config, tmp_path, monkeypatch
):
    plan = resolve_config(smoke_config, "test")
    facts = plan.facts("digits_even_odd")
    counts = facts.counts | {"test/seen@query": 300, "test/seen@gallery": 200}
    changed = facts.model_copy(update={"roles": True, "counts": counts})
    monkeypatch.setattr(Plan, "facts", lambda self, name: changed)
    make_results(plan, tmp_path / "x")

    def found(**there):
        for run in plan.all_runs.values():
            file = paths.run_in(tmp_path / "x", run.id) / paths.METRICS_FILE
            content = json.loads(file.read_text())
            for part in (p for p in content["parts"] if p["subset"] == "seen"):
                part.update({"unmatched": 0, "copies": 0, **there})
            write_metrics(file, content)
        return check(Results.read(plan, tmp_path / "x"))

    # As many embeddings as images, whatever their roles.
    assert found(queries=300, gallery=200, images=363) == []
    wrong = found(queries=300, gallery=199, images=363)
    assert {breach["rule"] for breach in wrong} == {"R11"}
    assert "300 queries in 199 images, should be 300 in 200" in wrong[0]["what"]
    assert {breach["rule"] for breach in found(queries=300, gallery=200, images=362)} == {"R13"}
