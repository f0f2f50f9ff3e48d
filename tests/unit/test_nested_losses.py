"""Losses inside losses, and those that join another: loops, the library, and their traps."""

import pandas as pd
import pytest
import torch
import yaml
from nested_loops import (
    CONTRASTIVE,
    coding_rate,
    compare,
    random_shapes,
    threshold_consistent,
    weighted_sum,
)
from pytorch_metric_learning import losses
from safetensors.torch import load_file
from test_losses import draw_batch, tuples_of, words
from test_step import waits_of
from training_runs import RUN, config_file, trained_in_parts

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.batch import Batch
from dmlbench.training.optimization import build_optimizer

SUMS = [
    {"losses": [{"type": "margin"}, {"type": "multi_similarity"}], "weights": [0.5, 2.0]},
    {"losses": [CONTRASTIVE, {"type": "threshold_consistent"}, {"type": "coding_rate"}]},
    {"losses": [{"type": "proxy_nca"}, {"type": "coding_rate", "of": "proxies"}]},
    {
        "losses": [{"type": "coding_rate", "of": "batch_proxies"}, {"type": "proxy_nca"}],
        "weights": [0.1, 1.0],
    },
]


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
