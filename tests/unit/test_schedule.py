"""Learning rates are those of torch's schedulers, step by step."""

import math

import pytest
import torch
from torch.optim import lr_scheduler as of_torch

from dmlbench.config.recipe import Schedule
from dmlbench.errors import ConfigError
from dmlbench.training.schedule import build_rates

EPOCHS, STEPS, WARM = 12, 5, 3
RATES = (0.1, 0.5, 0.003)  # of backbone, head and loss


def optimizer_of(rates=RATES):
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in rates]
    return torch.optim.SGD(groups, lr=1.0)


def schedule(**keys):
    return Schedule(**keys).model_dump()


def moved(spec):
    """The rates of all groups in each step of a training."""
    optimizer, seen = optimizer_of(), []
    rates = build_rates(spec, optimizer, EPOCHS, STEPS)
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            seen.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            rates.step_ended()
        rates.epoch_ended()
    return seen


def torchs(make, unit):
    """The same of a scheduler of torch, stepped once in ``unit`` steps."""
    optimizer, seen = optimizer_of(), []
    scheduler = make(optimizer)
    for step in range(EPOCHS * STEPS):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        if (step + 1) % unit == 0:
            scheduler.step()
    return seen


def warm(optimizer, after, times):
    first = of_torch.LinearLR(optimizer, start_factor=0.2, end_factor=1.0, total_iters=WARM * times)
    return of_torch.SequentialLR(optimizer, [first, after], milestones=[WARM * times])


WARMUP = {"warmup_epochs": WARM, "warmup_start": 0.2}


@pytest.mark.parametrize("by", ["epoch", "step"])
@pytest.mark.parametrize("warms", [False, True])
@pytest.mark.parametrize("name", ["cosine", "step", "multistep"])
def test_rates_equal_torchs_own_step_by_step(name, by, warms):
    times = 1 if by == "epoch" else STEPS
    began = WARM if warms else 0
    keys = {"cosine": {"min_lr": 1e-4}, "step": {"every": 2}, "multistep": {"at": [5, 9]}}[name]

    def make(optimizer):
        after = {
            "cosine": lambda: of_torch.CosineAnnealingLR(
                optimizer, T_max=(EPOCHS - began) * times, eta_min=1e-4
            ),
            "step": lambda: of_torch.StepLR(optimizer, step_size=2 * times, gamma=0.1),
            "multistep": lambda: of_torch.MultiStepLR(
                optimizer, milestones=[(5 - began) * times, (9 - began) * times], gamma=0.1
            ),
        }[name]()
        return warm(optimizer, after, times) if warms else after

    spec = schedule(name=name, by=by, **keys, **(WARMUP if warms else {}))
    assert moved(spec) == torchs(make, STEPS if by == "epoch" else 1)


def test_rates_equal_their_formulas():
    cosine = moved(schedule(name="cosine", by="step", min_lr=1e-4, **WARMUP))
    steps = moved(schedule(name="multistep", at=[5, 9], gamma=0.5, **WARMUP))
    begin, total = WARM * STEPS, EPOCHS * STEPS
    for step in range(total):
        epoch = step // STEPS
        for group, lr in enumerate(RATES):
            share = (step - begin) / (total - begin)
            expected = 1e-4 + (lr - 1e-4) * (1 + math.cos(math.pi * share)) / 2
            if step < begin:
                expected = lr * (0.2 + 0.8 * step / begin)
            assert cosine[step][group] == pytest.approx(expected, rel=1e-9)
            expected = lr * 0.5 ** ((epoch >= 5) + (epoch >= 9))
            if epoch < WARM:
                expected = lr * (0.2 + 0.8 * epoch / WARM)
            assert steps[step][group] == pytest.approx(expected, rel=1e-9)


def test_constant_rates_only_warm_up_or_have_no_schedule():
    assert build_rates(schedule(), optimizer_of(), EPOCHS, STEPS) is None
    seen = moved(schedule(**WARMUP))
    assert seen[0] == pytest.approx([0.2 * lr for lr in RATES])
    assert seen[WARM * STEPS :] == [pytest.approx(list(RATES))] * (EPOCHS - WARM) * STEPS


def test_a_rate_of_the_loss_below_the_lowest_is_refused():
    with pytest.raises(ConfigError, match=r"min_lr: 0.01 is not below 0.003, the rate of some"):
        build_rates(schedule(name="cosine", min_lr=0.01), optimizer_of(), EPOCHS, STEPS)


@pytest.mark.parametrize("name", ["cosine", "step", "multistep", "constant"])
def test_a_schedule_goes_on_from_its_state(name):
    keys = {"step": {"every": 2}, "multistep": {"at": [5, 9]}}.get(name, {})
    spec = schedule(name=name, by="step", **keys, **WARMUP)
    whole = moved(spec)
    for stop in (0, 7, WARM * STEPS - 1, WARM * STEPS, 40):
        optimizer, seen = optimizer_of(), []
        rates = build_rates(spec, optimizer, EPOCHS, STEPS)
        for step in range(EPOCHS * STEPS):
            if step == stop:  # as a checkpoint does it
                state, rest = rates.state_dict(), optimizer.state_dict()
                optimizer = optimizer_of()
                rates = build_rates(spec, optimizer, EPOCHS, STEPS)
                optimizer.load_state_dict(rest)
                rates.load_state_dict(state)
            seen.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            rates.step_ended()
        assert seen == whole
