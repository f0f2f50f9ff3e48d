"""S2SD, and the features before the head that it works on."""

import pytest
import torch
from conftest import config_with
from nested_loops import CONTRASTIVE, compare, features_of, random_shapes, s2sd
from test_losses import TUPLES, draw_batch, tuples_of

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.batch import Batch
from dmlbench.training.network import Network
from dmlbench.training.optimization import build_optimizer


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
