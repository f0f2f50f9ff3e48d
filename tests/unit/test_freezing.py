"""What is frozen does not move to the bit, its batch norm neither."""

import pytest
import timm
import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.training.freezing import Freezing
from dmlbench.training.optimization import build_optimizer

pytestmark = pytest.mark.usefixtures("one_thread")


class Net(nn.Module):
    """A timm backbone with batch norm, and a head."""

    def __init__(self):
        super().__init__()
        self.backbone = timm.create_model("test_resnet", num_classes=0, in_chans=3)
        self.head = nn.Sequential(nn.Linear(self.backbone.num_features, 8), nn.BatchNorm1d(8))

    def forward(self, images):
        return self.head(self.backbone(images))


class NoLoss(nn.Module):
    def parameter_groups(self):
        return []


def net():
    torch.manual_seed(0)
    return Net()


def trained(model, freezing, epochs=1, name="adamw"):
    """Three steps in each epoch, with weight decay; the state before and after."""
    spec = {"name": name, "lr": 0.01, "weight_decay": 0.1, "head_lr": None, "layer_decay": None}
    optimizer = build_optimizer(spec, model, NoLoss())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for epoch in range(1, epochs + 1):
        freezing.train(epoch)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            model(torch.randn(8, 3, 32, 32)).square().mean().backward()
            optimizer.step()
    after = model.state_dict()
    return {k for k in before if not torch.equal(before[k], after[k])}, optimizer


def grouped(optimizer):
    return [id(p) for group in optimizer.param_groups for p in group["params"]]


def test_nothing_is_frozen_when_nothing_is_said():
    model = net()
    moved, optimizer = trained(model, Freezing(model, "none"))
    assert moved == set(model.state_dict())
    assert sorted(grouped(optimizer)) == sorted(id(p) for p in model.parameters())


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_weights():
    model = net()
    moved, _ = trained(model, Freezing(model, "batch_norm"))
    still = {k for k in model.state_dict() if "running" in k or "num_batches" in k}
    assert still
    assert moved == set(model.state_dict()) - still


def test_a_frozen_backbone_does_not_move_to_the_bit():
    model = net()
    moved, optimizer = trained(model, Freezing(model, "backbone"))
    assert moved == {k for k in model.state_dict() if k.startswith("head.")}
    assert grouped(optimizer) == [id(p) for p in model.head.parameters()]
    assert all(p.grad is None for p in model.backbone.parameters())
    assert not any(module.training for module in model.backbone.modules())


def test_a_pattern_freezes_what_it_matches_and_the_batch_norm_among_it():
    model = net()
    moved, optimizer = trained(model, Freezing(model, "backbone.layer[12].*"))
    layers = ("backbone.layer1.", "backbone.layer2.")
    still = {k for k in model.state_dict() if k.startswith(layers)}
    assert any("running_mean" in k for k in still)
    assert moved == set(model.state_dict()) - still
    learning = [id(p) for k, p in model.named_parameters() if k not in still]
    assert sorted(grouped(optimizer)) == sorted(learning)


def test_frozen_biases_leave_batch_norm_alive():
    model = net()
    moved, _ = trained(model, Freezing(model, "*.bias"))
    assert {k for k in model.state_dict() if k not in moved} == {
        k for k in model.state_dict() if k.endswith(".bias")
    }


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "lamb", "lion"])
def test_only_the_head_moves_while_it_warms_up(name):
    model = net()
    freezing = Freezing(model, "none", warmup_epochs=2)
    moved, optimizer = trained(model, freezing, epochs=2, name=name)
    assert moved == {k for k in model.state_dict() if k.startswith("head.")}
    assert sorted(grouped(optimizer)) == sorted(id(p) for p in model.parameters())
    model = net()
    moved, _ = trained(model, Freezing(model, "none", warmup_epochs=2), epochs=3, name=name)
    assert moved == set(model.state_dict())


def test_what_is_frozen_stays_so_after_the_warm_up():
    model = net()
    moved, _ = trained(model, Freezing(model, "backbone.layer1.*", warmup_epochs=1), epochs=2)
    assert moved == {k for k in model.state_dict() if not k.startswith("backbone.layer1.")}


@pytest.mark.parametrize(
    ("what", "warmup", "told"),
    [
        ("backbone.layer7.*", 0, r"no parameter is called .*did you mean 'backbone.layer\d.*\*'"),
        ("backbone.conv1.0.wieght", 0, "did you mean 'backbone.conv1.0.weight'"),
        ("*", 0, r"freeze: \* leaves nothing of the network that learns"),
        ("head.*", 1, "warmup_head_epochs: freeze: head.. leaves no head that learns"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_one_line(what, warmup, told):
    with pytest.raises(ConfigError, match=told) as caught:
        Freezing(net(), what, warmup)
    assert "\n" not in str(caught.value)


def test_batch_norm_of_a_network_without_one_cannot_be_frozen():
    model = nn.ModuleDict({"backbone": nn.Linear(4, 4), "head": nn.LayerNorm(4)})
    with pytest.raises(ConfigError, match="freeze: the network has no batch norm"):
        Freezing(model, "batch_norm")
