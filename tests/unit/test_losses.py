"""Losses against plain float64 loops written from the formulas, and what every loss must do."""

import copy
import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loss_loops import LOOPS
from nested_loops import fed
from ranking_loops import RANKING_LOOPS

from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.plugins.registry import REGISTRIES
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.sampler import build_sampler
from dmlbench.training.optimization import build_optimizer

CASES = [
    {"type": "contrastive"},
    {"type": "contrastive", "squared": False, "margin": 0.5},
    {"type": "triplet"},
    {"type": "triplet", "squared": False, "margin": 1.0},
    {"type": "margin"},
    {"type": "margin", "beta": 0.7, "margin": 0.1},
    {"type": "multi_similarity"},
    {"type": "multi_similarity", "threshold": 0.5, "beta": 40.0, "normalizer": "mined"},
    {"type": "proxy_nca"},
    {"type": "proxy_nca", "positive_in_denominator": True, "scale": 1.0},
    {"type": "d_loss"},
    {"type": "d_loss", "form": "negative"},
    {"type": "d_loss", "form": "inverse"},
    {"type": "pd_loss"},
    {"type": "pd_loss", "log": False, "temperature": 0.5, "epsilon": 1e-3},
    {"type": "trimmed", "trim": 0.1, "loss": {"type": "triplet"}},
    {"type": "trimmed", "trim": 0.5, "loss": {"type": "margin"}},
    {"type": "trimmed", "trim": 0.3, "loss": {"type": "contrastive"}},
    {"type": "trimmed", "trim": 0.4, "loss": {"type": "multi_similarity"}},
    {"type": "nt_xent"},
    {"type": "nt_xent", "temperature": 0.5},
    {"type": "trimmed", "trim": 0.4, "loss": {"type": "nt_xent"}},
    {"type": "proxy_nca", "proxies_per_class": 3},
    {"type": "proxy_nca", "proxies_per_class": 2, "positive_in_denominator": True},
    {"type": "pd_loss", "proxies_per_class": 3},
    {"type": "hyperbolic"},
    {"type": "hyperbolic", "curvature": 1.0, "clip": 1.0, "temperature": 0.5},
    {"type": "trimmed", "trim": 0.4, "loss": {"type": "hyperbolic"}},
    {"type": "smooth_ap"},
    {"type": "roadmap"},
    {"type": "recall_at_k"},
]
LOOPS = LOOPS | RANKING_LOOPS
#: Positive and negative choice: single triplets, one for each pair, sets, mined sets.
TUPLES = [("random", "random"), ("all", "random"), ("all", "all"), ("easy", "multi_similarity")]


def words(part):
    if isinstance(part, dict):
        return "-".join(words(value) for value in part.values())
    return "-".join(part) if isinstance(part, tuple) else str(part or "batch")


def draw_batch(seed, size, dim, classes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(size, dim, generator=generator, dtype=dtype)
    labels = torch.randint(classes, (size,), generator=generator)
    return Batch.of(points, labels, torch.arange(size), generator)


def tuples_of(batch, positive, negative):
    spec = {"positive": {"type": positive}, "negative": {"type": negative}, "miner": None}
    return build_sampler(spec)(batch)


def inputs(loss, seed, size=12, dim=4, choices=TUPLES[0]):
    batch = draw_batch(seed, size, dim, loss.num_classes, torch.float32)
    return batch, tuples_of(batch, *choices) if loss.takes != "batch" else None


def combinations():
    """Every loss with every form of tuples that it takes."""
    for spec in CASES:
        name = spec["type"]
        forms = TUPLES if REGISTRIES["loss"].get(name).takes == "tuples" else [None]
        if spec.get("loss") == {"type": "triplet"}:
            forms = [f for f in TUPLES if f[1] == "random"]  # the others are refused
        yield from ((spec, form) for form in forms)


@pytest.mark.parametrize(("spec", "choices"), list(combinations()), ids=words)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(2, 11),
    dim=st.integers(1, 6),
    classes=st.integers(2, 4),
)
@example(seed=567, size=4, dim=1, classes=2)
@example(seed=33285, size=11, dim=1, classes=2)
@settings(max_examples=12)
def test_value_and_gradient_equal_the_loop(spec, choices, seed, size, dim, classes):
    torch.manual_seed(seed)
    loss = build_loss(spec, classes, dim).double()
    batch = draw_batch(seed, size, dim, classes)
    tuples = tuples_of(batch, *choices) if choices else None
    ours, theirs = (batch.embeddings.clone().requires_grad_() for _ in range(2))
    copied = copy.deepcopy(loss)

    value = loss(Batch.of(ours, batch.labels), tuples).value
    expected = LOOPS[spec["type"]](copied, theirs, batch.labels, tuples)
    value.backward()
    (expected + 0 * theirs.sum()).backward()

    # A gradient that cancels leaves the rounding of the value (1/d' may be a million), times
    # what normalising divides by: the length of the shortest embedding.
    rounding = 1e-14 * float(value.detach().abs() / batch.embeddings.norm(dim=1).min())
    close = {"rtol": 1e-6, "atol": max(1e-9, rounding)}
    torch.testing.assert_close(value, expected, **close)
    torch.testing.assert_close(ours.grad, theirs.grad, **close)
    for mine, other in zip(loss.parameters(), copied.parameters(), strict=True):
        grad = torch.zeros_like(other) if other.grad is None else other.grad
        torch.testing.assert_close(mine.grad, grad, **close)


def test_active_counts_the_terms_that_are_not_zero():
    points = torch.tensor([[0.0, 0], [0.1, 0], [0.2, 0], [5.0, 0]])
    batch = Batch.of(points, torch.tensor([0, 0, 1, 1]), torch.arange(4), torch.Generator())
    for choices in (("all", "all"), ("all", "hard")):
        result = build_loss({"type": "triplet"}, 2, 2)(batch, tuples_of(batch, *choices))
        # Anchors 0 and 1 see the nearest negative within the margin; anchor 2's positive is far.
        assert result.active == (4 if choices[1] == "all" else 3)


@pytest.mark.parametrize("normalizer", ["batch", "mined", None])
@pytest.mark.parametrize("choices", [("all", "all"), ("easy", "multi_similarity")])
def test_nothing_trimmed_is_the_inner_loss(normalizer, choices):
    inner = {"type": "multi_similarity", "normalizer": normalizer} if normalizer else {}
    inner = inner or {"type": "margin"}
    batch = draw_batch(3, 11, 4, 3)
    tuples = tuples_of(batch, *choices)
    whole = build_loss(inner, 3, 4)(batch, tuples).value
    trimmed = build_loss({"type": "trimmed", "trim": 0.0, "loss": inner}, 3, 4)(batch, tuples)
    assert whole > 0
    torch.testing.assert_close(trimmed.value, whole)


SMALLEST = {"trimmed": {"loss": {"type": "margin"}}}
#: Losses with others inside: see test_nested_losses.py, test_xbm.py, test_s2sd.py.
SMALLEST |= {
    "sum": {"losses": [{"type": "margin"}, {"type": "contrastive"}], "weights": [1.0, 0.5]},
    "xbm": {"loss": {"type": "margin"}, "size": 32, "start": 0},
    "s2sd": {"loss": {"type": "margin"}, "dims": [5, 6], "feature_start": 0},
}
#: They teach without any pair too.
PAIRLESS = {"coding_rate", "s2sd"}


@pytest.mark.parametrize("name", REGISTRIES["loss"].classes())
class TestEveryRegisteredLoss:
    def make(self, name, classes=2):
        torch.manual_seed(0)
        loss = build_loss({"type": name, **SMALLEST.get(name, {})}, classes, 4)
        return fed(loss) if loss.wants_features else loss

    @pytest.mark.parametrize("choices", TUPLES, ids="-".join)
    def test_a_batch_without_pairs_gives_exactly_zero_and_a_gradient(self, name, choices):
        loss = self.make(name)
        if hasattr(loss, "proxies") or name in PAIRLESS:
            return  # it compares images with proxies, of which there are always two
        points = torch.randn(4, 4, requires_grad=True)
        batch = Batch.of(points, torch.zeros(4).long(), torch.arange(4), torch.Generator())
        result = loss(batch, tuples_of(batch, *choices))
        result.value.backward()
        assert result.value.item() == 0
        assert not result.active
        assert (points.grad == 0).all()

    @pytest.mark.parametrize("choices", TUPLES, ids="-".join)
    def test_collapsed_embeddings_have_a_finite_gradient(self, name, choices):
        loss = self.make(name)
        points = torch.ones(12, 4, requires_grad=True)
        batch = Batch.of(points, torch.arange(12) % 2, torch.arange(12), torch.Generator())
        value = loss(batch, tuples_of(batch, *choices)).value
        value.backward()
        assert value.isfinite()
        assert points.grad.isfinite().all()

    @pytest.mark.parametrize("choices", TUPLES, ids="-".join)
    @pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
    def test_one_embedding_that_is_not_finite_makes_the_loss_nan(self, name, choices, wrong):
        points = torch.randn(12, 4)
        points[3] = wrong
        batch = Batch.of(points, torch.arange(12) % 2, torch.arange(12), torch.Generator())
        batch.embeddings.requires_grad_()
        value = self.make(name)(batch, tuples_of(batch, *choices)).value
        assert value.isnan()
        value.backward()

    @pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
    def test_autocast_changes_nothing(self, name, half):
        loss = self.make(name)
        batch, tuples = inputs(loss, 1)
        points = batch.embeddings.to(half)
        with torch.autocast("cpu", torch.bfloat16):
            value = copy.deepcopy(loss)(Batch.of(points, batch.labels), tuples).value
        assert value.dtype == torch.float32
        assert value == loss(Batch.of(points.float(), batch.labels), tuples).value

    def test_state_survives_a_round_trip(self, name):
        loss, other = self.make(name), self.make(name)
        for parameter in loss.parameters():
            parameter.data.add_(0.25)
        other.load_state_dict(loss.state_dict())
        arguments = inputs(loss, 2)
        assert loss(*arguments).value == other(*arguments).value

    def test_one_step_moves_every_parameter(self, name):
        loss = self.make(name)
        network = torch.nn.Linear(4, 4)
        before = [p.detach().clone() for p in (*loss.parameters(), *network.parameters())]
        spec = {"name": "adam", "lr": 0.1, "weight_decay": 0.0}
        optimizer = build_optimizer(spec, network, loss)
        batch, tuples = inputs(loss, 4)
        loss(Batch.of(network(batch.embeddings), batch.labels), tuples).value.backward()
        optimizer.step()
        after = [*loss.parameters(), *network.parameters()]
        assert all((a != b).any() for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"type": "margin", "beta_lr": 0.5}, 0.5),
        ({"type": "trimmed", "loss": {"type": "margin", "beta_lr": 0.5}}, 0.5),
        ({"type": "proxy_nca", "proxy_lr": 0.5}, 0.5),
        ({"type": "pd_loss", "proxy_lr": 0.5}, 0.5),
        ({"type": "pd_loss", "proxy_lr": None}, 0.1),
    ],
    ids=str,
)
def test_parameters_of_a_loss_have_their_own_rate_and_no_decay(spec, key):
    loss = build_loss(spec, 3, 2)
    optimizer = {"name": "adam", "lr": 0.1, "weight_decay": 0.2}
    groups = build_optimizer(optimizer, torch.nn.Linear(2, 2), loss).param_groups
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.1, 0.2), (key, 0.0)]


def test_all_triplets_of_many_images_sum_up_exactly():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(160, 8, generator=generator)
    batch = Batch.of(points, torch.arange(160) % 2, torch.arange(160), generator)
    sets = tuples_of(batch, "all", "all")
    result = build_loss({"type": "triplet"}, 2, 8)(batch, sets)
    d = torch.cdist(points.double(), points.double()).square()
    kept = batch.positives[:, :, None] & batch.negatives[:, None, :]
    terms = (d[:, :, None] - d[:, None, :] + 0.2).relu()[kept]
    assert result.value.item() == pytest.approx(terms.mean().item(), rel=1e-6)
    assert result.active == (terms > 0).sum()


@pytest.mark.parametrize("inner", ["triplet", "margin"])
def test_trimming_keeps_the_triplets_that_cost_least(inner):
    loss = build_loss({"type": "trimmed", "trim": 0.1, "loss": {"type": inner}}, 2, 3)
    batch, tuples = inputs(loss, 5, size=10, dim=3)
    values, _ = loss.inner.terms(batch, tuples)
    costs = values.reshape(-1, 10).sum(dim=0)[tuples.valid]
    _, counted = loss.terms(batch, tuples)
    kept = counted.reshape(-1, 10)
    assert (kept == kept[0]).all()  # both pairs of a triplet, or none
    assert int(kept[0].sum()) == math.ceil(0.9 * len(costs) - 1e-9)
    dropped = costs[~kept[0][tuples.valid]]
    assert (dropped >= costs[kept[0][tuples.valid]].max()).all()


def test_trimming_a_triplet_loss_needs_listed_triplets():
    loss = build_loss({"type": "trimmed", "loss": {"type": "triplet"}}, 2, 4)
    with pytest.raises(ConfigError, match="one negative per positive"):
        loss(*inputs(loss, 0, choices=("all", "all")))
    with pytest.raises(ConfigError, match="it has no terms to trim"):
        build_loss({"type": "trimmed", "loss": {"type": "proxy_nca"}}, 2, 4)


def test_the_temperature_of_pd_loss_cancels():
    values = []
    for temperature in (0.1, 0.5, 1.0, 2.0):
        torch.manual_seed(0)
        spec = {"type": "pd_loss", "temperature": temperature, "epsilon": 1e-30}
        loss = build_loss(spec, 5, 8).double()
        batch, _ = inputs(loss, 1, size=20, dim=8)
        loss.start(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
        near = batch.embeddings + 2 * loss.proxies.detach()[batch.labels]  # so nothing is clamped
        values.append(loss(Batch.of(near.double(), batch.labels)).value.item())
    assert values == pytest.approx([values[0]] * 4, rel=1e-12)


def test_pd_loss_counts_the_steps_in_which_it_had_to_clamp():
    loss = build_loss({"type": "pd_loss"}, 2, 2)
    loss.start(torch.tensor([[1.0, 0], [-1.0, 0]]))
    points, right = torch.tensor([[1.0, 0.1], [-1.0, 0.1]]), torch.tensor([0, 1])
    assert loss(Batch.of(points, right)).counts["clamped_steps"] == 0
    assert loss(Batch.of(points, 1 - right)).counts["clamped_steps"] == 1


def test_pd_loss_is_minus_log_d_prime_up_to_a_constant():
    loss = build_loss({"type": "pd_loss", "epsilon": 1e-30}, 3, 6).double()
    batch, _ = inputs(loss, 3, size=20, dim=6)
    near = batch.embeddings.double() + 2 * loss.proxies.detach()[batch.labels]
    log = loss(Batch.of(near, batch.labels)).value
    loss.log = False
    d_prime = -loss(Batch.of(near, batch.labels)).value.item()
    assert log.item() == pytest.approx(-math.log(d_prime) + 0.5 * math.log(2), rel=1e-12)


def test_proxies_start_where_the_class_means_lie():
    loss = build_loss({"type": "pd_loss", "proxies": "class_means"}, 3, 4)
    assert loss.wants_class_means
    means = torch.randn(3, 4)
    loss.start(means)
    torch.testing.assert_close(loss.proxies.data, torch.nn.functional.normalize(means, dim=1))
    assert not REGISTRIES["loss"].get("pd_loss")(num_classes=3, embedding_dim=4).wants_class_means


def test_a_mean_over_anchors_is_the_sum_of_all_pairs_over_the_batch():
    """XBM's equation 3: the mean over pairs, times their number, over the number of images."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    batch = Batch.of(points, torch.arange(12) % 3, generator=generator)
    sampler = {"positive": {"type": "all"}, "negative": {"type": "all"}, "miner": None}
    tuples = build_sampler(sampler)(batch)
    by_pairs, by_anchors = (
        build_loss({"type": "contrastive", "mean_over": over}, 3, 5)(batch, tuples).value
        for over in ("pairs", "anchors")
    )
    assert by_anchors.item() == pytest.approx(by_pairs.item() * 12 * 11 / 12)
