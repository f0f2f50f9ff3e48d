"""NT-Xent, EPSHN and R-Margin: what the papers' methods are made of here."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_loops import cosine
from selection_loops import Anchor, distance_weights
from test_samplers import ANY, SHAPES, batch_of, choose, chosen_pairs, random_batch

from dmlbench.losses.building import build_loss
from dmlbench.samplers.batch import Batch, PairSets


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6), dim=st.integers(2, 8))
@settings(max_examples=20)
def test_two_images_a_class_and_all_pairs_are_the_loss_of_hyp_vits_sphere(seed, classes, dim):
    """Their loop: each image of one half finds its partner among all others of the batch."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(2 * classes, dim, generator=generator, dtype=torch.float64)
    halves = points[:classes], points[classes:]
    total = 0.0
    for first, second in (halves, halves[::-1]):
        for i in range(classes):
            others = [*second, *(x for j, x in enumerate(first) if j != i)]
            logits = torch.stack([cosine(first[i], other) / 0.1 for other in others])
            total = total - logits.log_softmax(dim=0)[i] / classes
    batch = batch_of(points, torch.arange(2 * classes) % classes)
    value = build_loss({"type": "nt_xent"}, classes, dim)(batch, choose(batch, "all", "all")).value
    assert 2 * value.item() == pytest.approx(total.item(), rel=1e-9)


def test_a_low_temperature_neither_overflows_nor_loses_small_terms():
    points = torch.tensor([[1.0, 0], [1.0, 0.01], [0.9, 0.45], [0, 1.0]], requires_grad=True)
    batch = Batch.of(points, torch.tensor([0, 0, 1, 1]))
    for temperature in (1e-4, 0.02):
        loss = build_loss({"type": "nt_xent", "temperature": temperature}, 2, 2)
        value = loss(batch, choose(batch, "all", "all")).value
        exact = loss(Batch.of(points.double(), batch.labels), choose(batch, "all", "all")).value
        assert value.item() == pytest.approx(exact.item(), rel=1e-4)
    # The first anchor's term is about exp(-0.1 / 0.01): a sum of exponentials in float32, less
    # one of its terms, would be zero or a rounding error.
    sets = PairSets(*(torch.zeros(4, 4, dtype=torch.bool) for _ in range(2)))
    sets.positives[0, 1] = sets.negatives[0, 2] = True
    small = build_loss({"type": "nt_xent", "temperature": 0.005}, 2, 2)(batch, sets)
    s = [cosine(points[0].double(), points[i].double()).item() for i in (1, 2)]
    assert small.value.item() == pytest.approx(math.exp((s[1] - s[0]) / 0.005), rel=1e-3)
    assert 0 < small.value < 1e-8


def test_a_positive_without_any_negative_costs_nothing():
    """A miner may give such an anchor; the softmax has one term then."""
    batch = batch_of(torch.randn(4, 3, requires_grad=True), [0, 0, 1, 1])
    sets = PairSets(batch.positives, torch.zeros_like(batch.negatives))
    batch.embeddings.retain_grad()
    value = build_loss({"type": "nt_xent"}, 2, 3)(batch, sets).value
    value.backward()
    assert value == 0
    assert (batch.embeddings.grad == 0).all()


@pytest.mark.parametrize("positive", ["easy", "hard", "all"])
@ANY
@SHAPES
def test_the_hardest_semihard_negative_is_that_of_the_loop(positive, seed, size, classes, dim):
    batch, expected = random_batch(seed, size, classes, dim), []
    rows = chosen_pairs(choose(batch, positive, "hardest_semihard"))
    for i in range(size):
        anchor = Anchor(batch, i)
        if not anchor.positives:
            continue
        nearest = min(anchor.positives, key=lambda j: anchor.d[j])
        farthest = max(anchor.positives, key=lambda j: anchor.d[j])
        for p in {"easy": [nearest], "hard": [farthest], "all": anchor.positives}[positive]:
            beyond = [n for n in anchor.negatives if anchor.d[n] >= anchor.d[p]]
            if beyond:
                expected.append((i, p, min(beyond, key=lambda j: anchor.d[j])))
    assert rows == expected


def test_an_anchor_whose_negatives_are_all_nearer_takes_no_part():
    #                0 and 1 are a class, 2 and 3 another one that lies between them
    batch = batch_of([[0.0, 0], [4.0, 0], [1.0, 0], [3.0, 0]], [0, 0, 1, 1])
    assert chosen_pairs(choose(batch, "easy", "hardest_semihard")) == [(2, 3, 1), (3, 2, 0)]
    # The same anchor has an equally near one: the negative in its place counts.
    batch = batch_of([[0.0, 0], [4.0, 0], [-4.0, 0], [3.0, 0]], [0, 0, 1, 1])
    assert (0, 1, 2) in chosen_pairs(choose(batch, "easy", "hardest_semihard"))


def r_margin(swap, **others):
    return {"type": "rho_distance", "swap": swap, **others}


@pytest.mark.parametrize("positive", ["random", "all"])
@ANY
@SHAPES
def test_a_swapped_triplet_has_an_image_of_the_class_in_the_place_of_its_negative(
    positive, seed, size, classes, dim
):
    batch = random_batch(seed, size, classes, dim)  # with copies
    listed = chosen_pairs(choose(batch, positive, r_margin(0.5)))
    plain = chosen_pairs(choose(batch, positive, "distance"))
    assert [a for a, _, _ in listed] == [a for a, _, _ in plain]  # nobody is lost or added
    for a, p, n in listed:
        anchor = Anchor(batch, a)
        assert (p == a and n in anchor.positives) or (
            p in anchor.positives and n in anchor.negatives
        )


@pytest.mark.parametrize("swap", [0.0, 0.2, 0.7])
def test_as_many_are_swapped_as_asked_and_the_others_are_distance_weighted(swap):
    batch = random_batch(5, 16, 3, copies=False)
    anchor, draws = Anchor(batch, 0), 4000
    counts, swapped = {}, 0
    for _ in range(draws):
        triplets = choose(batch, "random", r_margin(swap, upper_cutoff=1.4))
        p, n = triplets.positive[0].item(), triplets.negative[0].item()
        counts[n] = counts.get(n, 0) + 1
        swapped += p == 0
    shares = {n: (1 - swap) * share for n, share in distance_weights(anchor).items()}
    shares |= {p: swap / len(anchor.positives) for p in anchor.positives}
    assert swapped == sum(counts.get(p, 0) for p in anchor.positives)
    assert set(counts) <= {n for n, share in shares.items() if share}
    for n, share in shares.items():
        spread = math.sqrt(share * (1 - share) / draws)
        assert counts.get(n, 0) / draws == pytest.approx(share, abs=5 * spread + 1e-9)


def test_nothing_is_cut_at_the_far_end_as_in_the_authors_code():
    angles = torch.tensor([0.0, 0.1, 2.8, 1.2])  # 2 lies at distance 1.97 of 0
    batch = batch_of(torch.stack([angles.cos(), angles.sin(), 0 * angles], dim=1), [0, 0, 1, 1])

    def drawn(negative):
        return {choose(batch, "easy", negative).negative[0].item() for _ in range(200)}

    assert drawn(r_margin(0.0)) == {2, 3}
    assert drawn("distance") == {3}


@pytest.mark.parametrize("beta", [0.6, 0.1])
def test_margin_pushes_a_swapped_pair_apart_and_does_not_pull_it(beta):
    """Two images a class: the image of the swap is the anchor's only positive."""
    spec = r_margin(0.999999)
    points = torch.nn.functional.normalize(torch.randn(8, 5, dtype=torch.float64), dim=1)
    points[4:] = torch.nn.functional.normalize(points[:4] + 0.1 * points[4:], dim=1)
    points.requires_grad_()
    batch = batch_of(points, torch.arange(8) % 4)
    triplets = choose(batch, "random", spec)
    assert (triplets.negative == (torch.arange(8) + 4) % 8).all()
    loss = build_loss({"type": "margin", "beta": beta}, 4, 5)
    result = loss(batch, triplets)
    terms = []
    for a in range(8):
        d = math.dist(*points[[a, (a + 4) % 8]].tolist())
        terms += [max(0.0, 0 - beta + 0.2), max(0.0, beta - d + 0.2)]
    active = sum(term > 0 for term in terms)
    assert result.active == active
    assert result.value.item() == pytest.approx(sum(terms) / max(1, active), rel=1e-6)
    result.value.backward()
    for a in range(4):  # a step against the gradient lengthens the pair
        way = (points[a] - points[a + 4]).detach()
        assert (points.grad[a] * way).sum() < 0 < (points.grad[a + 4] * way).sum()
