"""Losses inside losses, and those that join another: loops, the library, and their traps."""

import copy

import pandas as pd
import pytest
import torch
import yaml
from conftest import config_with
from hypothesis import given, settings
from hypothesis import strategies as st
from nested_loops import (
    Memory,
    coding_rate,
    features_of,
    s2sd,
    threshold_consistent,
    weighted_sum,
)
from pytorch_metric_learning import distances, losses, miners
from safetensors.torch import load_file
from test_losses import TUPLES, draw_batch, tuples_of, words
from test_step import waits_of
from training_runs import RUN, config_file, trained_in_parts

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.batch import Batch
from dmlbench.training.network import Network
from dmlbench.training.optimization import build_optimizer
from dmlbench.training.snapshot import _module_state, _restore_module, unsaved

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
CONTRASTIVE = {"type": "contrastive"}
XBM = {"type": "xbm", "loss": CONTRASTIVE, "start": 5}
#: A sampler that chooses no tuples.
CLASSES = {"per_class": 16}
SUMS = [
    {"losses": [{"type": "margin"}, {"type": "multi_similarity"}], "weights": [0.5, 2.0]},
    {"losses": [CONTRASTIVE, {"type": "threshold_consistent"}, {"type": "coding_rate"}]},
    {"losses": [{"type": "proxy_nca"}, {"type": "coding_rate", "of": "proxies"}]},
    {
        "losses": [{"type": "coding_rate", "of": "batch_proxies"}, {"type": "proxy_nca"}],
        "weights": [0.1, 1.0],
    },
]


def compare(loss, value_of, loop_of, batch):
    """The loss and its loop, in value and in the gradients of embeddings and parameters."""
    copied = copy.deepcopy(loss)
    ours, theirs = (batch.embeddings.clone().requires_grad_() for _ in range(2))
    value, expected = value_of(loss, ours), loop_of(copied, theirs)
    value.backward()
    (expected + 0 * theirs.sum()).backward()
    torch.testing.assert_close(value, expected, **CLOSE)
    torch.testing.assert_close(ours.grad, theirs.grad, **CLOSE)
    for mine, other in zip(loss.parameters(), copied.parameters(), strict=True):
        grad = torch.zeros_like(other) if other.grad is None else other.grad
        torch.testing.assert_close(mine.grad, grad, **CLOSE)


def random_shapes(examples=8, **more):
    def decorate(test):
        shapes = {"seed": st.integers(0, 10**6), "size": st.integers(2, 9)}
        shapes |= {"dim": st.integers(1, 5), "classes": st.integers(2, 4), **more}
        return given(**shapes)(settings(max_examples=examples, deadline=None)(test))

    return decorate


@pytest.mark.parametrize(
    ("spec", "loop"),
    [
        ({"type": "threshold_consistent"}, threshold_consistent),
        (
            {"type": "threshold_consistent", "positive_margin": 0.4, "negative_margin": -0.2}
            | {"positive_weight": 0.3, "negative_weight": 2.0},
            threshold_consistent,
        ),
        ({"type": "coding_rate"}, coding_rate),
        ({"type": "coding_rate", "epsilon_squared": 0.04}, coding_rate),
        *(({"type": "sum", **spec}, weighted_sum) for spec in SUMS),
    ],
    ids=lambda value: words(value)[:40] if isinstance(value, dict) else "",
)
@random_shapes()
def test_value_and_gradient_equal_the_loop(spec, loop, seed, size, dim, classes):
    torch.manual_seed(seed)
    batch = draw_batch(seed, size, dim, classes)
    tuples = tuples_of(batch, "all", "random")
    compare(
        build_loss(spec, classes, dim).double(),
        lambda loss, points: loss(Batch.of(points, batch.labels), tuples).value,
        lambda loss, points: loop(loss, points, batch.labels, tuples),
        batch,
    )


class TestSum:
    def make(self, *inner, **keys):
        return build_loss({"type": "sum", "losses": list(inner), **keys}, 3, 4)

    def test_inner_losses_keep_their_rates(self):
        loss = self.make({"type": "margin", "beta_lr": 0.5}, {"type": "proxy_nca", "proxy_lr": 0.3})
        spec = {"name": "adam", "lr": 0.1, "weight_decay": 0.2}
        groups = build_optimizer(spec, torch.nn.Linear(2, 2), loss).param_groups
        assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.1, 0.2), (0.5, 0), (0.3, 0)]

    def test_numbers_of_one_name_are_told_apart(self):
        batch = draw_batch(0, 9, 4, 3)
        result = self.make({"type": "d_loss"}, {"type": "pd_loss"}, {"type": "coding_rate"})(batch)
        assert list(result.counts) == ["losses.0.clamped_steps", "losses.1.clamped_steps"]
        assert list(result.means) == ["losses.0", "losses.1", "losses.2", "coding_rate"]
        alone = build_loss({"type": "d_loss"}, 3, 4)(batch).value
        torch.testing.assert_close(result.means["losses.0"], alone)

    def test_active_terms_are_those_of_all(self):
        batch = draw_batch(1, 9, 4, 3)
        tuples = tuples_of(batch, "all", "all")
        parts = [
            build_loss(s, 3, 4)(batch, tuples).active for s in (CONTRASTIVE, {"type": "margin"})
        ]
        assert self.make(CONTRASTIVE, {"type": "margin"})(batch, tuples).active == sum(parts)

    def test_class_means_reach_the_proxies_inside(self):
        loss = self.make(CONTRASTIVE, {"type": "pd_loss", "proxies": "class_means"})
        assert loss.wants_class_means
        means = torch.eye(3, 4)
        loss.start(means)
        torch.testing.assert_close(loss.losses[1].proxies.data, means)

    def test_each_loss_needs_its_weight(self):
        with pytest.raises(ConfigError, match="sum: weights: there are 1 for 2 losses"):
            self.make(CONTRASTIVE, {"type": "margin"}, weights=[1.0])
        with pytest.raises(ConfigError, match="0 for 0 losses"):
            self.make()


class TestCodingRate:
    def test_it_is_lowest_on_one_point_and_highest_on_orthogonal_ones(self):
        loss = build_loss({"type": "coding_rate"}, 2, 8)
        values = [
            loss(Batch.of(points, torch.arange(8) % 2)).value
            for points in (torch.ones(8, 8), torch.randn(8, 8), torch.eye(8))
        ]
        assert values[0] > values[1] > values[2]
        expected = -4 * torch.log(torch.tensor(1 + 1 / 0.5))  # each eigenvalue is 1 + 1 / eps^2
        torch.testing.assert_close(values[2], expected)

    def test_both_sides_of_the_determinant_agree(self):
        for size in (5, 20):
            points = torch.nn.functional.normalize(torch.randn(size, 9).double(), dim=1)
            matrix = torch.eye(9) + 9 / (size * 0.5) * points.T @ points
            loss = build_loss({"type": "coding_rate"}, 2, 9)
            value = loss(Batch.of(points, torch.zeros(size).long())).value
            torch.testing.assert_close(value, -matrix.logdet() / 2)

    def test_proxies_of_a_library_count_and_move(self):
        theirs = {"type": "pytorch_metric_learning.losses.ProxyAnchorLoss"}
        spec = {"type": "sum", "losses": [theirs, {"type": "coding_rate", "of": "proxies"}]}
        loss = build_loss(spec, 3, 4)
        batch = draw_batch(0, 9, 4, 3, torch.float32)
        assert len(list(loss.parameters())) == 1
        rate = loss(batch).means["coding_rate"]
        rate.backward()
        assert (loss.losses[0].module.proxies.grad != 0).any()
        assert batch.embeddings.grad is None

    @pytest.mark.parametrize(
        ("beside", "words"),
        [
            ([], "needs one proxy loss beside it in the same sum, and there is none"),
            ([CONTRASTIVE], "there is none; put such a loss there, or take of: batch"),
            ([{"type": "proxy_nca"}, {"type": "pd_loss"}], "and there are 2"),
        ],
    )
    def test_without_one_proxy_loss_it_says_so(self, beside, words):
        mine = {"type": "coding_rate", "of": "proxies"}
        with pytest.raises(ConfigError, match=words):
            build_loss({"type": "sum", "losses": [mine, *beside]}, 3, 4)
        alone = build_loss(mine, 3, 4)
        assert "there is none" in next(alone.refusals({}, None))
        with pytest.raises(ConfigError, match="there is none"):
            alone(draw_batch(0, 9, 4, 3))


@pytest.mark.parametrize("seed", range(5))
def test_threshold_consistency_is_the_librarys(seed):
    batch = draw_batch(seed, 24, 6, 2)
    theirs = losses.ThresholdConsistentMarginLoss()
    gradients = []
    for loss in (build_loss({"type": "threshold_consistent"}, 2, 6), theirs):
        points = batch.embeddings.clone().requires_grad_()
        value = (
            loss(points, batch.labels)
            if loss is theirs
            else loss(Batch.of(points, batch.labels)).value
        )
        value.backward()
        gradients.append((value.detach(), points.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


class TestMemory:
    def make(self, inner=CONTRASTIVE, size=12, start=0, dim=4, **keys):
        spec = {"type": "xbm", "loss": inner, "size": size, "start": start, **keys}
        torch.manual_seed(0)
        return build_loss(spec, 3, dim)

    def batches(self, number, size=6, dim=4, classes=3, dtype=torch.float64):
        """Batches that hold images of 20, so that some come back."""
        generator = torch.Generator().manual_seed(number)
        labels_of = torch.arange(20) % classes
        for _ in range(number):
            content = torch.randperm(20, generator=generator)[:size]
            points = torch.randn(size, dim, generator=generator, dtype=dtype)
            yield Batch.of(points, labels_of[content], content, generator)

    @pytest.mark.parametrize("pairs", ["all", "multi_similarity"])
    @pytest.mark.parametrize("inner", ["contrastive", "margin", "multi_similarity", "triplet"])
    def test_value_and_gradient_equal_the_loop(self, inner, pairs):
        loss = self.make({"type": inner}, pairs=pairs).double()
        memory = Memory(12)
        mining = pairs == "multi_similarity"
        for batch in self.batches(5):  # the queue of 12 is full after 2
            compare(
                loss,
                lambda loss, x, b=batch: loss(Batch.of(x, b.labels, b.content)).value,
                lambda loss, x, b=batch: memory.loss(
                    loss.losses[0], x, b.labels, b.content, mining
                ),
                batch,
            )
            loss.zero_grad()
        assert loss.entered == 30

    @pytest.mark.parametrize("mined", [False, True])
    @pytest.mark.parametrize("inner", ["contrastive", "multi_similarity"])
    def test_it_is_the_librarys_where_no_image_comes_again(self, inner, mined):
        keys = {"pairs": "multi_similarity"} if mined else {}
        ours = {
            "contrastive": {"type": "contrastive", "squared": False, "margin": 9.0},
            "multi_similarity": {"type": "multi_similarity", "threshold": 0.5},
        }[inner]
        plain = distances.LpDistance(normalize_embeddings=False)
        theirs = losses.CrossBatchMemory(
            losses.ContrastiveLoss(neg_margin=9.0, distance=plain)
            if inner == "contrastive"
            else losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
            4,
            memory_size=40,
            miner=miners.MultiSimilarityMiner(epsilon=0.1) if mined else None,
        )
        loss = self.make(ours, size=40, **keys).double()
        for step in range(6):
            batch = draw_batch(step, 12, 4, 3)
            labels, content = torch.arange(12) % 3, torch.arange(12) + 12 * step
            one, two = (batch.embeddings.clone().requires_grad_() for _ in range(2))
            mine, their = loss(Batch.of(one, labels, content)).value, theirs(two, labels)
            if inner == "contrastive":
                # The library adds the means of both kinds of pairs, each over its active ones.
                near, far = self.kinds(loss, Batch.of(one, labels, content))
                mine = near + far
            torch.testing.assert_close(mine, their, rtol=1e-5, atol=1e-7)
            mine.backward()
            their.backward()
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)

    def kinds(self, loss, batch):
        compared = loss._against(batch, min(loss.entered, loss.size))
        chosen = loss._choose(compared)
        values, _ = loss.losses[0].terms(compared, chosen)
        return [values[m & (values > 0)].mean() for m in (chosen.positives, chosen.negatives)]

    def test_an_image_is_never_its_own_positive(self):
        """Trap: the queue holds the batch, and what the same images gave an epoch ago."""
        loss = self.make({"type": "contrastive", "squared": False}, size=8)
        labels, content = torch.tensor([0, 0, 1, 1]), torch.arange(4)
        for shift in (0.0, 1.0):
            points = torch.tensor([[0.0, 0], [0.3, 0], [5, 0], [5.3, 0]]) + shift
            points = torch.nn.functional.pad(points, (0, 2))
            result = loss(Batch.of(points, labels, content))
        # Each anchor: its class's other image, now and as it was; four negatives.
        assert result.counts["memory_pairs"] == 4 * (2 + 4)
        now, before = 0.3, [2**0.5, (0.7**2 + 1) ** 0.5, (1.3**2 + 1) ** 0.5]
        near = [now, before[2], now, before[1]]  # of the left and of the right image
        assert result.value.item() == pytest.approx(2 * sum(near) / 24, rel=1e-5)

    def test_the_memory_takes_no_gradient_and_keeps_float32(self):
        loss = self.make()
        for batch in self.batches(2, dtype=torch.float32):
            batch.embeddings.requires_grad_()
            loss(batch).value.backward()
        assert loss.memory.dtype == torch.float32
        assert not loss.memory.requires_grad
        assert list(loss.parameters()) == []

    def test_before_the_start_the_batch_is_alone_and_the_queue_fills(self):
        loss = self.make(start=2)
        first, second, third = self.batches(3)
        for batch, filled in ((first, 0.5), (second, 1.0)):
            result = loss(batch)
            alone = build_loss(CONTRASTIVE, 3, 4)(batch, tuples_of(batch, "all", "all")).value
            assert result.value == alone
            assert result.means["queue_filled"] == filled
            assert result.counts["memory_pairs"] == 0
        assert loss(third).counts["memory_pairs"] > 0

    def test_it_goes_on_from_a_checkpoint_exactly(self):
        whole, parts = (
            self.make({"type": "margin"}, start=1),
            self.make({"type": "margin"}, start=1),
        )
        *batches, last = self.batches(6)
        for batch in batches:
            expected = whole(batch).value
            assert parts(batch).value == expected
            state, parts = _module_state(parts), self.make({"type": "margin"}, start=1)
            _restore_module(parts, state, torch.device("cpu"))
            other = self.make({"type": "margin"}, start=1)
            other.load_state_dict(whole.state_dict())
            assert other(last).value == copy.deepcopy(whole)(last).value
        assert unsaved(whole, None) == []
        assert parts(last).value == whole(last).value

    def test_what_cannot_be_remembered_is_refused(self):
        with pytest.raises(ConfigError, match="proxy_nca is no loss on tuples"):
            self.make({"type": "proxy_nca"})
        with pytest.raises(ConfigError, match="size 5 is below the batch of 6"):
            self.make(size=5)(next(self.batches(1)))


class TestS2SD:
    def make(self, dim=3, features=6, inner=CONTRASTIVE, **keys):
        spec = {"type": "s2sd", "loss": inner, "dims": [4, 5], "feature_start": 0, **keys}
        loss = build_loss(spec, 4, dim)
        loss.take_features(features)
        return loss

    @pytest.mark.parametrize("keys", [{}, {"temperature": 0.5, "weight": 3.0, "feature_start": 9}])
    # Not margin: where a head's ReLU are all off, its images meet, and a root has no slope there.
    @pytest.mark.parametrize("inner", ["contrastive", "proxy_nca"])
    @random_shapes(4)
    def test_value_and_gradient_equal_the_loop(self, inner, keys, seed, size, dim, classes):
        torch.manual_seed(seed)
        batch = draw_batch(seed, size, dim, classes)
        tuples = tuples_of(batch, *TUPLES[seed % 3])
        compare(
            self.make(dim, 2 * dim, {"type": inner}, **keys).double(),
            lambda loss, x: loss(Batch.of(x, batch.labels, features=features_of(x)), tuples).value,
            lambda loss, x: s2sd(loss, x, features_of(x), batch.labels, tuples),
            batch,
        )

    def test_teachers_learn_nothing_from_the_embedding(self):
        loss = self.make(weight=50.0, feature_weight=50.0)
        features = torch.randn(8, 6, requires_grad=True)
        labels = torch.zeros(8).long()  # no tuples: all that is left is the distillation
        batch = Batch.of(torch.randn(8, 3, requires_grad=True), labels, features=features)
        value = loss(batch, tuples_of(batch, "all", "all")).value
        points, *others = torch.autograd.grad(
            value, [batch.embeddings, features, *loss.parameters()], allow_unused=True
        )
        assert (points != 0).all()
        assert all(grad is None or (grad == 0).all() for grad in others)

    def test_features_join_after_their_delay(self):
        late, never = self.make(feature_start=2), self.make(feature_weight=0.0)
        never.load_state_dict(late.state_dict())
        batch = draw_batch(0, 8, 3, 4, torch.float32)
        batch = Batch.of(batch.embeddings, batch.labels, features=features_of(batch.embeddings))
        tuples = tuples_of(batch, "all", "all")
        steps = [[loss(batch, tuples).value.item() for _ in range(3)] for loss in (late, never)]
        assert steps[0][:2] == steps[1][:2]
        assert steps[0][2] > steps[1][2]

    def test_heads_and_inner_losses_reach_the_optimiser(self):
        loss = self.make(inner={"type": "margin", "beta_lr": 0.5})
        spec = {"name": "adam", "lr": 0.1, "weight_decay": 0.2}
        groups = build_optimizer(spec, torch.nn.Linear(2, 2), loss).param_groups
        assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.1, 0.2)] * 2 + [(0.5, 0)] * 3
        assert len(groups[1]["params"]) == 8

    def test_wide_heads_have_no_class_means_and_no_features(self):
        with pytest.raises(ConfigError, match="wants class means, and wide heads have none"):
            self.make(inner={"type": "pd_loss", "proxies": "class_means"})
        inside = {"type": "sum", "losses": [{"type": "s2sd", "loss": CONTRASTIVE}]}
        with pytest.raises(ConfigError, match="wants features, and wide heads have none"):
            self.make(inner=inside)
        with pytest.raises(ConfigError, match="needs the features"):
            build_loss({"type": "s2sd", "loss": CONTRASTIVE}, 4, 3)(draw_batch(0, 8, 3, 4), None)


class TestFeatures:
    """The features before the head come with the embeddings, in one pass."""

    def embedder(self):
        torch.manual_seed(0)
        config = config_with()
        plan = resolve_config(config, "test")
        return Embedder(plan.recipes["digits_8d"], 1, 8)

    @pytest.mark.parametrize("chunk", [None, 3])
    def test_gradients_of_both_reach_the_weights(self, chunk):
        model, images, passes = self.embedder().eval(), torch.randn(7, 1, 8, 8), []
        model.backbone.register_forward_hook(lambda *_: passes.append(1))
        made, backward = Network(model, chunk=chunk, features=True).embed(images)
        assert len(passes) == (3 if chunk else 1)  # trap: a second pass for the features
        embeddings, features = made.tensor_split([8], dim=1)
        torch.testing.assert_close(embeddings, model(images))
        torch.testing.assert_close(features, model.backbone(images))
        (embeddings.square().sum() * 2 + features.sin().sum() + embeddings.sin().sum()).backward()
        backward()
        found = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        features = model.backbone(images)
        embeddings = model(images)
        (embeddings.square().sum() * 2 + features.sin().sum() + embeddings.sin().sum()).backward()
        for mine, p in zip(found, model.parameters(), strict=True):
            torch.testing.assert_close(mine, p.grad, rtol=1e-4, atol=1e-5)


#: One training of all of them.
TOGETHER = {
    "type": "sum",
    "losses": [
        {"type": "s2sd", "loss": {"type": "margin"}, "dims": [12], "feature_start": 10},
        {"type": "xbm", "loss": CONTRASTIVE, "size": 64, "start": 10},
        {"type": "proxy_nca"},
        {"type": "coding_rate", "of": "batch_proxies"},
        {"type": "threshold_consistent"},
    ],
}


def test_a_training_that_is_interrupted_ends_the_same_and_saves_no_wide_head(tmp_path, monkeypatch):
    file = config_file(tmp_path, TOGETHER, epochs=2, chunk=20)
    monkeypatch.chdir(tmp_path)
    plan = resolve_config(yaml.safe_load(file.read_text()), "test")
    run, kept = plan.run_by_id(RUN), []
    for steps in (1000, 9):
        parts = trained_in_parts(plan, steps)
        saved = plan.run_folder(run) / "model_last.safetensors"
        kept.append(saved.read_bytes())
        assert set(load_file(saved)) == set(Embedder(plan.recipes["digits_8d"], 1, 8).state_dict())
    assert parts > 3
    assert kept[0] == kept[1]
    history = pd.read_csv(plan.run_folder(run) / "history.csv")
    assert history["queue_filled"].iloc[-1] == 1
    assert history["memory_pairs"].gt(0).all()
    assert history[["losses.3", "wide_heads_loss", "distillation"]].notna().all().all()


@pytest.mark.parametrize(
    "loss",
    [
        {"type": "xbm", "loss": {"type": inner}, "size": 24, "start": 0, "pairs": pairs}
        for inner in ("contrastive", "multi_similarity")
        for pairs in ("all", "multi_similarity")
    ]
    + [{"type": "sum", **spec} for spec in SUMS[2:]],
    ids=words,
)
def test_a_step_waits_for_no_gpu(loss):
    assert waits_of(loss) == set()


class TestConfig:
    """What is wrong with losses inside losses is told when the config is read."""

    def told(self, loss, sampler=None, **recipe):
        with pytest.raises(ConfigError) as error:
            self.plan(loss, sampler, **recipe)
        return str(error.value)

    def plan(self, loss, sampler=None, **recipe):
        config = config_with(loss, sampler)
        config["recipes"]["digits_8d"] |= recipe
        if sampler:
            config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet", "sampler": "eps"}]
        return resolve_config(config, "test")

    @pytest.mark.parametrize(
        ("loss", "line"),
        [
            (
                {"type": "xbm", "loss": {"type": "contrastive", "margn": 1}},
                "losses.triplet.loss.margn: unknown key (got 1); did you mean 'margin'?",
            ),
            (
                {"type": "sum", "losses": [CONTRASTIVE, {"type": "margin", "beta": -1.0}]},
                "losses.triplet.losses.1.beta: input should be greater than 0",
            ),
            (
                {"type": "sum", "losses": [{"type": "xbm", "loss": {"type": "contrastiv"}}]},
                "losses.triplet.losses.0.loss: unknown loss type (got 'contrastiv'); did you mean",
            ),
            ({"type": "sum", "losses": ["margin"]}, "losses.triplet.losses.0: "),
            ({"type": "sum", "losses": [{"margin": 1}]}, "should describe a loss: {type: ...}"),
            ({"type": "s2sd", "loss": CONTRASTIVE, "dims": [0]}, "losses.triplet.dims.0: "),
        ],
    )
    def test_keys_inside_are_told_with_their_path(self, loss, line):
        assert line in self.told(loss)

    @pytest.mark.parametrize(
        "loss",
        [
            {"type": "sum", "losses": [CONTRASTIVE, {"type": "coding_rate"}]},
            {"type": "s2sd", "loss": CONTRASTIVE, "feature_start": 0},
            {"type": "sum", "losses": [{"type": "s2sd", "loss": CONTRASTIVE, "feature_start": 0}]},
        ],
    )
    def test_a_sampler_is_needed_where_a_loss_inside_needs_one(self, loss):
        assert self.plan(loss).methods
        assert "needs positives and negatives" in self.told(loss, CLASSES)

    @pytest.mark.parametrize(
        "loss",
        [
            XBM,
            {"type": "sum", "losses": [{"type": "proxy_nca"}, {"type": "coding_rate"}]},
            {"type": "s2sd", "loss": {"type": "d_loss"}, "feature_start": 0},
        ],
    )
    def test_none_is_taken_where_no_loss_inside_needs_one(self, loss):
        assert self.plan(loss, CLASSES).methods
        assert "takes whole batches and no tuples" in self.told(loss)

    def test_sets_are_refused_where_a_loss_inside_needs_triplets(self):
        trimmed = {"type": "trimmed", "loss": {"type": "triplet"}}
        sets = {"per_class": 16, "positive": "all", "negative": "all"}
        whole = {"type": "sum", "losses": [CONTRASTIVE, trimmed]}
        assert "sum needs single triplets here" in self.told(whole, sets)
        assert self.plan(whole).methods
        line = "trimmed needs single triplets, but xbm compares sets of pairs"
        assert line in self.told(XBM | {"loss": trimmed}, CLASSES)

    @pytest.mark.parametrize(
        ("loss", "line"),
        [
            (XBM | {"loss": {"type": "pd_loss"}}, "it has no pairs to compare with the memory"),
            (XBM | {"loss": XBM}, "xbm inside xbm; describe one of them"),
            (XBM | {"size": 16}, "xbm: size 16 is below batch_size 32; raise it"),
            (
                {"type": "sum", "losses": [XBM | {"start": 1000}]},
                "xbm: start 1000 is beyond the training, which has 60 steps at most; lower it",
            ),
            ({"type": "coding_rate", "of": "proxies"}, "needs one proxy loss beside it"),
        ],
    )
    def test_what_cannot_train_is_refused(self, loss, line):
        assert line in self.told(loss, CLASSES)

    def test_features_that_would_never_teach_are_refused(self):
        line = "s2sd: feature_start 1000 is beyond the training"
        assert line in self.told({"type": "s2sd", "loss": CONTRASTIVE})

    def test_a_rate_below_the_schedules_lowest_is_told_of_inner_losses_too(self):
        loss = {"type": "sum", "losses": [{"type": "margin", "beta_lr": 1e-6}]}
        schedule = {"name": "cosine", "min_lr": 1e-5}
        line = "schedule.min_lr 1e-05 is not below 1e-06, the rate of the loss's parameters"
        assert line in self.told(loss, schedule=schedule)

    def test_a_change_of_an_inner_loss_trains_anew(self):
        plan = self.plan({"type": "sum", "losses": [XBM, {"type": "coding_rate"}]}, CLASSES)
        (run, *_) = plan.all_runs.values()
        modules = {name for source in plan.sources(run) for name in source.modules}
        for name in ("weighted_sum", "xbm", "contrastive", "coding_rate"):
            assert f"dmlbench.losses.{name}" in modules
