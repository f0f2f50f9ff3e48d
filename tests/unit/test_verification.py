"""Verification against scikit-learn, plain loops over thresholds, and the views of LFW."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmlbench.config.settings import Evaluation
from dmlbench.data.verification_pairs import of_run
from dmlbench.errors import DataError
from dmlbench.evaluation.metrics import verification
from dmlbench.evaluation.scored_pairs import PairSample, Scored, pair_samples


def verify(table, vectors, ids, rates):
    metric = verification.Verification()
    samples = pair_samples(table, vectors, ids, Evaluation(far=rates))
    return {sample.view: metric.rows(sample) for sample in samples}


def area(pairs):
    folds = np.zeros(len(pairs))
    sample = PairSample("made", pairs, folds, len(pairs), pairs, None, Evaluation(far=[0.5]))
    rows = verification.Verification().rows(sample)
    return next(row["value"] for row in rows if row["metric"] == "auc")


def scores(seed, count=60, ties=False):
    rng = np.random.default_rng(seed)
    genuine = np.append(rng.random(count - 2) < 0.5, [True, False])
    similarity = rng.normal(size=count) + genuine
    return Scored(np.round(similarity) if ties else similarity, genuine)


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=40)
def test_equals_loops_over_thresholds(seed, ties):
    pairs = scores(seed, ties=ties)
    values = [np.inf, *sorted(set(pairs.similarity), reverse=True)]
    rates = [
        (
            (pairs.similarity[~pairs.genuine] >= t).mean(),
            (pairs.similarity[pairs.genuine] >= t).mean(),
        )
        for t in values
    ]
    best = max(((pairs.similarity >= t) == pairs.genuine).mean() for t in values)
    threshold = verification.best_threshold(pairs)
    assert verification.accuracy(pairs, threshold) == pytest.approx(best)
    for rate in (0.05, 0.1, 0.5):
        expected = max(true for false, true in rates if false <= rate + 1e-12)
        found = verification.tar_at_far(pairs, rate)
        assert found == (expected if pairs.impostors * rate >= 1 else None)
    error = verification.equal_error_rate(pairs)
    (f0, t0), (f1, t1) = next(
        pair for pair in itertools.pairwise(rates) if pair[1][0] >= 1 - pair[1][1]
    )
    assert f0 - 1e-12 <= error <= f1 + 1e-12
    assert 1 - t1 - 1e-12 <= error <= 1 - t0 + 1e-12


def test_six_pairs_by_eye():
    # Highest first: genuine, genuine, impostor, genuine, impostor, impostor.
    pairs = Scored(np.array([6.0, 5, 4, 3, 2, 1]), np.array([1, 1, 0, 1, 0, 0], dtype=bool))
    assert verification.best_threshold(pairs) == 4.5  # five of six are right; so they are at 2.5
    assert verification.accuracy(pairs, 4.5) == pytest.approx(5 / 6)
    assert verification.equal_error_rate(pairs) == pytest.approx(1 / 3)
    assert verification.tar_at_far(pairs, 1 / 3) == 1.0
    assert verification.tar_at_far(pairs, 0.34) == 1.0
    assert verification.tar_at_far(pairs, 0.33) is None  # that takes four impostors
    assert area(pairs) == pytest.approx(8 / 9)
    # means 14/3 and 7/3, both variances 14/9
    assert verification.decidability(pairs) == pytest.approx((7 / 3) / np.sqrt(14 / 9))


def test_d_prime_is_what_the_loss_takes():
    import torch

    from dmlbench.losses.decidability import Moments

    pairs = scores(3)
    similarity, genuine = torch.tensor(pairs.similarity), torch.tensor(pairs.genuine)
    expected = Moments.of(similarity, genuine, ~genuine).decidability()
    assert verification.decidability(pairs) == pytest.approx(expected.item())


def test_of_unit_vectors_the_similarity_orders_as_the_cosine_does():
    rng = np.random.default_rng(0)
    left, right = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 9, 4)))
    pairs = Scored.of(left, right, np.ones(9, bool))
    assert pairs.similarity == pytest.approx(2 * (left * right).sum(axis=1) - 2)


def test_collapsed_embeddings_verify_by_chance():
    pairs = Scored(np.zeros(20), np.arange(20) % 2 == 0)
    assert verification.accuracy(pairs, verification.best_threshold(pairs)) == 0.5
    assert verification.equal_error_rate(pairs) == 0.5
    assert area(pairs) == 0.5
    assert verification.tar_at_far(pairs, 0.1) == 0.0
    assert verification.decidability(pairs) is None


def lfw(folds=4, people=6, seed=0):
    """A little LFW: two images of each person, people of one fold only in that fold's pairs."""
    rng = np.random.default_rng(seed)
    index = pd.DataFrame({"id": range(2 * folds * people)})
    index["person"] = index["id"] // 2
    index["split"] = np.where(index["person"] < folds * people // 2, "train", "test")
    vectors = rng.normal(size=(folds * people, 5))[index["person"]]
    vectors = (vectors + 0.8 * rng.normal(size=vectors.shape)).astype(np.float32)
    rows = []
    for fold in range(folds):
        first = fold * people
        for person in range(first, first + people):
            other = first + (person - first + 1) % people
            rows.append(("view2", fold + 1, 2 * person, 2 * person + 1, True))
            rows.append(("view2", fold + 1, 2 * person, 2 * other, False))
    table = pd.DataFrame(rows, columns=["view", "fold", "left", "right", "same"])
    return index, table, vectors


def values(rows):
    return {r["metric"]: r["value"] for r in rows}


def test_view_1_takes_its_threshold_from_the_pairs_of_the_training():
    index, table, vectors = lfw()
    half = table["fold"] <= 2
    table["view"] = np.where(half, "view1_threshold", "view1")
    table = of_run(table, index, "person")
    assert table["trained_on"].tolist() == half.tolist()
    found = verify(table, vectors, index["id"].to_numpy(), [0.1])
    assert list(found) == ["view1"]
    train, test = (
        Scored.of(vectors[t["left"]], vectors[t["right"]], t["same"].to_numpy())
        for t in (table[half], table[~half])
    )
    threshold = verification.best_threshold(train)
    assert values(found["view1"])["verification_accuracy"] == pytest.approx(
        ((test.similarity >= threshold) == test.genuine).mean()
    )


def test_view_2_scores_only_who_was_not_trained_on():
    index, table, vectors = lfw()
    table = of_run(table, index, "person")
    rows = verify(table, vectors, index["id"].to_numpy(), [0.1, 0.01])["view2"]
    assert "24 of 48 pairs; mean over 2 folds" in rows[0]["note"]
    notes = {r["metric"]: r["note"] for r in rows}
    assert notes["eer"] == "12 genuine and 12 impostor pairs"
    assert values(rows)["tar_at_far_0.01"] is None
    assert "too few for FAR 0.01" in notes["tar_at_far_0.01"]
    # A pair that training saw counts for nothing, whatever its embeddings are.
    vectors[: len(vectors) // 2] = 0
    assert verify(table, vectors, index["id"].to_numpy(), [0.1, 0.01])["view2"] == rows


def test_folds_take_their_threshold_from_the_others():
    index, table, vectors = lfw()
    table["trained_on"] = False
    rows = values(verify(table, vectors, index["id"].to_numpy(), [0.1])["view2"])
    pairs = Scored.of(vectors[table["left"]], vectors[table["right"]], table["same"].to_numpy())
    each = []
    for fold in range(1, 5):
        rest = (table["fold"] != fold).to_numpy()
        threshold = verification.best_threshold(Scored(pairs.similarity[rest], pairs.genuine[rest]))
        right = (pairs.similarity >= threshold) == pairs.genuine
        each.append(right[~rest].mean())
    assert rows["verification_accuracy"] == pytest.approx(np.mean(each))
    assert rows["verification_accuracy_sem"] == pytest.approx(np.std(each, ddof=1) / 2)


def test_one_of_ten_trainings_is_tested_on_its_fold():
    index, table, vectors = lfw()
    test = index["person"] // 6 == 2  # fold 3
    table = of_run(table, index.assign(split=np.where(test, "test", "train")), "person")
    rows = verify(table, vectors, index["id"].to_numpy(), [0.1])["view2"]
    assert rows[0]["note"].startswith("12 of 48 pairs; mean over 1 folds")
    assert values(rows)["verification_accuracy_sem"] is None
    assert 0 <= values(rows)["verification_accuracy"] <= 1


def test_what_cannot_be_verified_is_one_line():
    index, table, vectors = lfw()
    ids = index["id"].to_numpy()
    seen = of_run(table, index.assign(split="train"), "person")
    with pytest.raises(DataError, match="training saw people of 48 of 48 pairs"):
        verify(seen, vectors, ids, [0.1])
    table = of_run(table, index, "person")
    with pytest.raises(DataError, match="lack images; embed again"):
        verify(table, vectors[:-1], ids[:-1], [0.1])
    with pytest.raises(DataError, match="diverged"):
        verify(table, np.full_like(vectors, np.nan), ids, [0.1])
    with pytest.raises(DataError, match="one fold, and no pairs to choose a threshold from"):
        verify(table[table["fold"] == 4], vectors, ids, [0.1])
