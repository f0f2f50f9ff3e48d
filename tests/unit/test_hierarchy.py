"""Hierarchical average precision against a loop over pairs and cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import gather, make_results
from metric_loops import ranking, roles_of

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.config.settings import Evaluation
from dmlbench.evaluation.metric import Sample
from dmlbench.evaluation.metrics.h_ap import h_ap
from dmlbench.evaluation.run_metrics import measure_images
from dmlbench.reporting.hierarchy import hierarchy_tables
from dmlbench.reporting.tables import write_tables


def measured(points, labels, sub_labels, ids, roles=None):
    sample = Sample(points, labels, ids, None, "", sub_labels, roles=roles)
    (found,) = measure_images(sample, ["h_ap"])
    return found


def by_loop(points, labels, sub_labels, ids, roles=None):
    """The mean over queries, straight from the paper's sums over pairs of neighbours."""
    values = []
    for i, order in ranking(points, ids, roles).items():
        level = {j: int(labels[i] == labels[j]) for j in order}
        level |= {j: 2 for j in order if level[j] and sub_labels[i] == sub_labels[j]}
        number = {each: list(level.values()).count(each) for each in (1, 2)}
        rel = {j: level[j] / 2 / number[level[j]] if level[j] else 0.0 for j in order}
        if not any(rel.values()):
            continue
        summed = 0.0
        for rank, k in enumerate(order, start=1):
            if rel[k]:
                h_rank = rel[k] + sum(min(rel[k], rel[j]) for j in order[: rank - 1])
                summed += h_rank / rank
        values.append(summed / sum(rel.values()))
    return float(np.mean(values)) if values else None


@given(st.integers(0, 10**6), st.integers(2, 30), st.booleans(), st.booleans())
@settings(max_examples=60)
def test_it_is_the_loop_over_pairs_with_ties_and_classes_of_one(seed, count, collapsed, apart):
    rng = np.random.default_rng(seed)
    labels, inside = rng.integers(0, 4, count), rng.integers(0, 3, count)
    points = rng.integers(0, 3, (count, 2)).astype(np.float32) * (not collapsed)
    sub_labels, ids = 3 * labels + inside, rng.permutation(1000)[:count]
    roles = roles_of(count, rng) if apart else None
    found = measured(points, labels, sub_labels, ids, roles)
    expected = by_loop(points, labels, sub_labels, ids, roles)
    if expected is None:
        assert found["value"] is None
        lone = (
            "no query has a match in the gallery" if apart else "every image is alone in its class"
        )
        assert found["note"] == lone
    else:
        assert found["value"] == pytest.approx(expected, rel=1e-12)


def test_the_best_ranking_is_one_and_a_severe_mistake_costs_more_than_a_mild_one():
    best, mild, severe = ([2, 2, 1, 1, 0], [2, 1, 2, 1, 0], [2, 0, 2, 1, 1])
    values = h_ap(np.array([best, mild, severe]))
    assert values[0] == pytest.approx(1)
    assert values[2] < values[1] < 1
    assert h_ap(np.array([[0, 0, 0], [0, 0, 2]])) == pytest.approx([0, 1 / 3])


@pytest.mark.parametrize("level", [1, 2])
def test_with_one_level_it_is_the_average_precision_of_scikit_learn(level):
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(level)
    relevant = rng.random((20, 30)) < 0.3
    relevant[:, -1] = True
    expected = [average_precision_score(row, -np.arange(30)) for row in relevant]
    assert h_ap(level * relevant) == pytest.approx(expected)


def test_the_relevance_is_that_of_the_papers_equation():
    # Two of the finer label and four of the label: 1/2 each and 1/8 each. The first neighbour is
    # of the label only, so a finer one behind it has 1/2 + 1/8 of what it could have.
    levels = np.array([[1, 2, 2, 1, 1, 1]])
    first, *rest = 1 / 8, (1 / 2 + 1 / 8) / 2, (1 + 1 / 8) / 3
    rest += [(1 / 4 + 2 / 8) / 4, (3 / 8 + 2 / 8) / 5, (4 / 8 + 2 / 8) / 6]
    assert h_ap(levels)[0] == pytest.approx((first + sum(rest)) / 1.5)


def test_a_label_without_a_finer_one_has_none_and_the_note_says_why():
    points = np.eye(4, dtype=np.float32)
    found = measured(points, np.zeros(4, int), None, np.arange(4))
    assert (found["value"], found["note"]) == (None, "the label has no finer one inside")


def test_it_is_measured_only_where_a_config_names_it():
    assert "h_ap" not in Evaluation().metrics
    assert "collapse" in Evaluation().metrics
    assert Evaluation(metrics=["recall", "h_ap"]).metrics == ["recall", "h_ap"]


def test_both_labels_stand_side_by_side_where_it_was_measured(smoke_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smoke_config["experiments"]["even_odd"]["dataset"] = "omniglot"
    smoke_config["evaluation"] |= {"metrics": ["recall", "map_at_r", "h_ap", "collapse"]}
    plan = resolve_config(smoke_config, "test")
    make_results(plan, tmp_path / paths.results("smoke"))
    metrics = gather(plan)
    (table,) = hierarchy_tables(plan, "even_odd", metrics, "")
    assert table.title.endswith(": letter inside alphabet")
    block = table.blocks["test, last epoch"]
    heads = ["R@1, alphabet", "R@1, letter", "MAP@R, alphabet", "MAP@R, letter", "H-AP"]
    assert list(block.columns) == [*heads, "same finer label"]
    for head, (label, metric) in {
        "R@1, letter": ("letter", "recall"),
        "MAP@R, alphabet": ("alphabet", "map_at_r"),
        "H-AP": ("alphabet", "h_ap"),
    }.items():
        mine = metrics[(metrics["label"] == label) & (metrics["metric"] == metric)]
        mine = mine[(mine["sampler"] == "eps") & (mine["selection"] == "last")]
        mine = mine[(mine["split"] == "test") & (mine["k"] == mine["k"].min())]
        assert block.loc["Triplet + EPS", head].value == pytest.approx(100 * mine["value"].mean())
    write_tables(plan, "even_odd")
    text = paths.local(paths.table("smoke", "even_odd", "md")).read_text()
    assert "letter inside alphabet" in text
    assert "by chance" in text
    assert hierarchy_tables(plan, "even_odd", metrics[metrics["metric"] != "h_ap"], "") == []
