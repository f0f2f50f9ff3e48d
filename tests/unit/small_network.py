"""A small network of a backbone and a head, and steps of it."""

import torch
from torch import nn

from dmlbench.config.recipe import Optimizer
from dmlbench.losses.building import build_loss


class Net(nn.Module):
    def __init__(self, backbone=None):
        super().__init__()
        self.backbone = backbone or nn.Linear(5, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, values):
        return self.head(self.backbone(values).tanh())


def spec_of(**keys):
    return Optimizer(**keys).model_dump()


def net(backbone=None):
    torch.manual_seed(0)
    return Net(backbone)


def triplet():
    return build_loss({"type": "triplet"}, 4, 4)


def margin():
    return build_loss({"type": "margin", "beta_lr": 0.07}, 4, 4)


def steps(model, optimizer, number=3):
    for seed in range(number):
        generator = torch.Generator().manual_seed(seed)
        optimizer.zero_grad(set_to_none=True)
        model(torch.randn(8, 5, generator=generator)).square().sum().backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]
