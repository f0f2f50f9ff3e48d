"""Smooth-AP, ROADMAP and RS@k: copies, uneven classes, and what is known to go wrong with them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import distances, losses
from ranking_loops import RANKING_LOOPS
from torch.autograd.graph import saved_tensors_hooks

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError
from dmlbench.losses import ranking
from dmlbench.losses.building import build_loss
from dmlbench.samplers.batch import Batch

CASES = [
    {"type": "smooth_ap", "temperature": 0.05},
    {"type": "smooth_ap", "query_ranked": True},
    {"type": "roadmap"},
    {"type": "roadmap", "temperature": 0.1, "rho": 3.0, "delta": 0.2, "calibration": 0.0},
    {"type": "roadmap", "alpha": 0.5, "beta": -0.2, "calibration": 0.8, "pairs": "active"},
    {"type": "recall_at_k"},
    {"type": "recall_at_k", "k": (1, 3), "rank_temperature": "k", "temperature": 0.2},
    {"type": "recall_at_k", "simix": True},
]


def name(spec):
    return "-".join(str(value) for value in spec.values())


def make(spec, classes=4, dim=4):
    return build_loss(spec, classes, dim).double()


def draw(seed, size=11, dim=4, classes=3):
    """Points, labels, and contents of which some are equal."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (size,), generator=generator)
    content = torch.randint(2 * size, (size,), generator=generator)
    return points, labels, content


def shares_of(batch, seed):
    """What SiMix will draw: more than it needs, of which it takes the first."""
    pairs = int(batch.positives.sum()) // 2
    return torch.rand(pairs, 1, generator=torch.Generator().manual_seed(seed)).double().flatten()


def both(spec, seed, points, labels, content, **loop):
    """Ours and the loop's: values and gradients."""
    loss = make(spec, int(labels.max()) + 1, points.shape[1])
    ours, theirs = (points.clone().requires_grad_() for _ in range(2))
    batch = Batch.of(ours, labels, content, torch.Generator().manual_seed(seed))
    if spec.get("simix"):
        loop["shares"] = shares_of(batch, seed)
    values = (
        loss(batch).value,
        RANKING_LOOPS[spec["type"]](loss, theirs, labels, None, content.tolist(), **loop),
    )
    values[0].backward()
    (values[1] + 0 * theirs.sum()).backward()
    return [v.detach() for v in values], (ours.grad, theirs.grad)


@pytest.mark.parametrize("spec", CASES, ids=name)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(2, 9),
    dim=st.integers(2, 6),
    classes=st.integers(1, 4),
)
@settings(max_examples=8)
def test_value_and_gradient_equal_the_loop_with_copies_and_uneven_classes(
    spec, seed, size, dim, classes
):
    size = min(size, 6) if spec.get("simix") else size  # the loops take seconds
    values, gradients = both(spec, seed, *draw(seed, size, dim, classes))
    torch.testing.assert_close(*values, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)


def test_a_copy_is_neither_a_positive_nor_ranked():
    points, labels, _ = draw(0)
    for spec in CASES:
        values = []
        for content in (torch.arange(11), torch.arange(11).clamp(max=8)):  # the last three are one
            batch = Batch.of(points, labels * 0 + torch.arange(11) % 2, content)
            values.append(make(spec)(batch).value.item())
        assert values[0] != pytest.approx(values[1], rel=1e-3)


@pytest.mark.parametrize("block", [1, 90, 200])
def test_blocks_change_nothing_and_gradients_are_right(monkeypatch, block):
    points, labels, _ = draw(4, size=9)
    batch = Batch.of(points, labels)
    scores = (batch.similarities.detach() / 0.1).requires_grad_()

    def count(values):
        ranked = ranking.Ranked.of(values, batch.positives, batch.negatives, torch.sigmoid)
        return ranked.positives, ranked.negatives

    whole = count(scores)
    assert len(whole[0]) * 9 > 200
    monkeypatch.setitem(ranking._BLOCK, "cpu", block)
    torch.testing.assert_close(count(scores), whole)
    assert torch.autograd.gradcheck(count, scores)


@pytest.mark.parametrize("spec", CASES, ids=name)
def test_nothing_much_larger_than_the_similarities_is_kept_for_the_backward_pass(spec):
    kept = []
    batch = Batch.of(torch.randn(64, 8, requires_grad=True), torch.arange(64) // 16)
    most = (64 + 4 * 120 * spec.get("simix", False)) ** 2
    with saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
        value = make(spec).float()(batch).value
    value.backward()
    assert 64 * 64 <= max(kept) <= 2 * most  # of 64 x 15 x 64 comparisons


def separated(classes, per_class, order="sorted"):
    """Classes on axes of their own."""
    labels = torch.arange(classes).repeat_interleave(per_class)
    if order == "shuffled":
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    return torch.eye(classes)[labels], labels


SHAPES = [(8, 4), (4, 8), (4, 4), (28, 4), (56, 2)]


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
@pytest.mark.parametrize(("classes", "per_class"), SHAPES)
@pytest.mark.parametrize("ranked", [False, True])
def test_smooth_ap_of_separated_classes_is_zero_in_any_order(classes, per_class, order, ranked):
    points, labels = separated(classes, per_class, order)
    loss = build_loss({"type": "smooth_ap", "query_ranked": ranked}, classes, classes)
    result = loss(Batch.of(points, labels))
    assert result.value.item() == 0
    assert result.means["active_ranks"] == 0


@pytest.mark.parametrize(("classes", "per_class"), SHAPES)
def test_the_librarys_smooth_ap_is_wrong_unless_there_are_as_many_classes_as_images_of_each(
    classes, per_class
):
    library = losses.SmoothAPLoss()(*separated(classes, per_class)).item()
    assert (library == pytest.approx(0, abs=1e-6)) == (classes == per_class)
    assert classes == per_class or library > 0.3


def test_the_librarys_smooth_ap_takes_rows_in_order_only():
    assert losses.SmoothAPLoss()(*separated(4, 4, "shuffled")) > 0.3


@pytest.mark.parametrize("size", [3, 4, 5])
def test_smooth_ap_equals_the_librarys_where_that_is_right(size):
    generator = torch.Generator().manual_seed(size)
    labels = torch.arange(size).repeat_interleave(size)
    points = torch.randn(size**2, 6, generator=generator, dtype=torch.float64)
    mine = build_loss({"type": "smooth_ap", "query_ranked": True}, size, 6).double()
    found = []
    for loss in (
        lambda x: mine(Batch.of(x, labels)).value,
        lambda x: losses.SmoothAPLoss()(x, labels),
    ):
        x = points.clone().requires_grad_()
        value = loss(x)
        value.backward()
        found.append((value.detach(), x.grad))
    assert found[0][0] > 0.3
    single = {"check_dtype": False, "atol": 1e-6}  # the library sums in float32
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, **single)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-5, **single)


def true_ap_loss(points, labels):
    """One minus the average precision, by counting; ties count against the item."""
    batch = Batch.of(points, labels)
    s, lost = batch.similarities, []
    for q in range(len(labels)):
        near, far = batch.positives[q], batch.negatives[q]
        each = []
        for i in near.nonzero().flatten():
            positives = (s[q][near] >= s[q, i]).sum().double()
            each.append(1 - positives / (positives + (s[q][far] >= s[q, i]).sum()))
        lost.append(torch.stack(each).mean())
    return torch.stack(lost).mean().item()


def test_sup_ap_is_an_upper_bound_where_smooth_ap_is_none():
    sup_ap = make({"type": "roadmap", "calibration": 0.0, "rho": 1.0})
    smooth_ap = make({"type": "smooth_ap", "temperature": 0.01})
    below = 0
    for seed in range(20):
        spread = (0.0, 0.02, 0.1, 1.0, 5.0)[seed % 5]
        points = draw(seed, size=12)[0] * spread + torch.ones(4).double()
        labels = torch.arange(12) % 4
        true = true_ap_loss(points, labels)
        assert sup_ap(Batch.of(points, labels)).value.item() >= true - 1e-12
        below += smooth_ap(Batch.of(points, labels)).value.item() < true - 1e-6
    assert below > 4


def test_the_gradient_of_sup_ap_does_not_vanish_where_that_of_smooth_ap_does():
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    labels = torch.tensor([0, 0, 1])  # the positive of the first is far below the negative
    sizes = []
    for spec in ({"type": "smooth_ap"}, {"type": "roadmap", "calibration": 0.0}):
        x = points.clone().requires_grad_()
        build_loss(spec, 2, 2)(Batch.of(x, labels)).value.backward()
        sizes.append(x.grad.norm().item())
    assert sizes[0] < 1e-6
    assert sizes[1] > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_calibration_over_active_pairs_is_the_librarys_contrastive_loss(seed):
    points = draw(seed, size=16)[0] + 1
    labels = torch.arange(16) // 4
    keys = {"calibration": 1.0, "pairs": "active"}
    found = []
    library = losses.ContrastiveLoss(0.9, 0.6, distance=distances.CosineSimilarity())
    for loss in (
        lambda x: make({"type": "roadmap", **keys})(Batch.of(x, labels)).value,
        lambda x: library(x, labels),
    ):
        x = points.clone().requires_grad_()
        value = loss(x)
        value.backward()
        found.append((value.detach(), x.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-9)


def test_both_parts_of_roadmap_stand_in_the_history():
    points, labels, _ = draw(2)
    result = make({"type": "roadmap", "calibration": 0.25})(Batch.of(points, labels))
    means = result.means
    assert result.value == 0.75 * means["sup_ap"] + 0.25 * means["calibration"]
    assert 0 < means["active_ranks"] <= 1


def test_virtual_images_of_simix_are_not_normalised_again():
    """Normalised, they would be nearer to everything, their parents above all."""
    spec = {"type": "recall_at_k", "simix": True, "temperature": 0.1}
    points, labels, content = draw(5, size=6)
    (ours, plain), _ = both(spec, 5, points, labels, content)
    (_, renormalised), _ = both(spec, 5, points, labels, content, renormalised=True)
    assert ours.item() == pytest.approx(plain.item(), rel=1e-9)
    assert ours.item() != pytest.approx(renormalised.item(), rel=1e-3)


def test_simix_draws_from_the_batchs_stream_and_tells_its_share_of_positives():
    points, labels = draw(1, size=12)[0], torch.arange(12) // 4
    loss = make({"type": "recall_at_k", "simix": True})
    results = [
        loss(Batch.of(points, labels, None, torch.Generator().manual_seed(seed)))
        for seed in (1, 1, 2)
    ]
    assert results[0].value == results[1].value
    assert results[0].value != results[2].value
    # A class of 4 has 6 virtual images; each of the 10 has 9 positives; a real query's are 3 + 6,
    # a virtual one's 4 + 5.
    assert results[0].means["simix_positives"].item() == pytest.approx((4 * 6 + 6 * 5) / 90)
    assert "simix_positives" not in make({"type": "recall_at_k"})(Batch.of(points, labels)).means


def test_recall_at_k_counts_no_more_than_k_positives():
    """20 positives that lie level have the rank 10.5 each: all of them are before 16."""
    labels = torch.cat([torch.zeros(21).long(), torch.ones(21).long()])
    points = torch.eye(2)[labels]
    loss = build_loss({"type": "recall_at_k", "k": (16,), "rank_temperature": 0.1}, 2, 2)
    assert loss(Batch.of(points, labels)).value.item() == 0


def test_perfect_embeddings_cost_half_at_k_1():
    loss = build_loss({"type": "recall_at_k", "k": (1,)}, 8, 8)
    points, labels = separated(8, 2, "shuffled")
    assert loss(Batch.of(points, labels)).value.item() == pytest.approx(0.5)


@pytest.mark.parametrize("spec", CASES, ids=name)
def test_one_perfect_and_one_bad_class_more_cost_more(spec):
    points, labels = separated(4, 4)
    loss = build_loss(spec, 4, 4)
    good = loss(Batch.of(points, labels, None, torch.Generator())).value
    bad = loss(Batch.of(points, labels.flip(0).roll(1), None, torch.Generator())).value
    assert bad > good + 0.05


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"type": "recall_at_k", "k": []}, "k"),
        ({"type": "recall_at_k", "k": [0, 1]}, "k"),
        ({"type": "recall_at_k", "rank_temperature": "rank"}, "rank_temperature"),
        ({"type": "roadmap", "alpha": 1.5}, "alpha"),
        ({"type": "roadmap", "calibration": 1.5}, "calibration"),
        ({"type": "smooth_ap", "temperature": 0.0}, "temperature"),
    ],
    ids=str,
)
def test_values_out_of_range_are_told(smoke_config, spec, told):
    smoke_config["losses"]["mine"] = spec
    with pytest.raises(ConfigError, match=rf"losses\.mine\.{told}\b"):
        resolve_config(smoke_config, "test")
