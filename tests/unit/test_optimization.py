"""Who learns at which rate, with which optimiser, and the average that is kept."""

import copy

import pytest
import timm
import torch
from conftest import config_with
from small_network import margin, net, spec_of, triplet
from timm.optim import param_groups_layer_decay
from timm.utils import ModelEmaV3
from training_runs import RUN

from dmlbench.config import resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.errors import ConfigError
from dmlbench.samplers.sampler import build_sampler
from dmlbench.training.loop import Trainer
from dmlbench.training.network import Network
from dmlbench.training.optimization import build_optimizer, network_rate
from dmlbench.training.step import EpochRecord, Step

DATASET = get_dataset("digits_even_odd")


def test_every_parameter_that_learns_is_in_exactly_one_group():
    for keys in ({}, {"head_lr": 0.5}, {"layer_decay": 0.5}, {"layer_decay": 0.5, "head_lr": 0.5}):
        backbone = timm.create_model("test_vit", num_classes=0) if "layer_decay" in keys else None
        model, loss = net(backbone), margin()
        model.head.bias.requires_grad_(False)
        optimizer = build_optimizer(spec_of(lr=0.1, weight_decay=0.2, **keys), model, loss)
        inside = [id(p) for group in optimizer.param_groups for p in group["params"]]
        learning = [p for p in (*model.parameters(), *loss.parameters()) if p.requires_grad]
        assert sorted(inside) == sorted(id(p) for p in learning)
        by_part = {group["part"]: group for group in optimizer.param_groups}
        assert by_part["loss"]["lr"] == 0.07
        assert by_part["loss"]["weight_decay"] == 0
        if keys:
            assert by_part["head"]["lr"] == keys.get("head_lr", 0.1)
        assert network_rate(optimizer) == 0.1


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_layers_are_grouped_as_timm_groups_them(name, weight_decay):
    backbone = timm.create_model(name, num_classes=0)
    spec = spec_of(lr=0.1, weight_decay=weight_decay, layer_decay=0.65)
    optimizer = build_optimizer(spec, net(backbone), triplet())
    without = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else ()
    theirs = param_groups_layer_decay(
        backbone, weight_decay, no_weight_decay_list=without, layer_decay=0.65
    )
    ours = [group for group in optimizer.param_groups if group["part"] == "backbone"]
    assert len(ours) == len(theirs) > 3
    for mine, timms in zip(ours, theirs, strict=True):
        assert [id(p) for p in mine["params"]] == [id(p) for p in timms["params"]]
        assert mine["lr"] == 0.1 * timms["lr_scale"]
        assert mine["weight_decay"] == timms["weight_decay"]


def test_a_backbone_that_timm_does_not_group_is_one_line():
    with pytest.raises(ConfigError, match="layer_decay: timm does not group this backbone"):
        build_optimizer(spec_of(lr=0.1, layer_decay=0.5), net(), margin())


def step_of(model, **keys):
    loss = margin()
    optimizer = build_optimizer(spec_of(name="sgd", lr=0.1), model, loss)
    chosen = {"type": "all"}
    spec = {"positive": chosen, "negative": chosen, "miner": None, "per_class": 4}
    sampler = build_sampler(spec)
    return Step(Network(model), loss, sampler, optimizer, **keys)


def taken(step, seed=0):
    generator = torch.Generator().manual_seed(seed)
    given = torch.randn(16, 5, generator=generator), torch.arange(16) // 4, torch.arange(16)
    step.take(*given, torch.Generator(), EpochRecord("mine", 1, []))


def test_gradients_are_clipped_by_the_norm_of_all_together():
    moves, norms = [], []
    for clip in (None, 0.01, 1e6):
        model = net()
        step = step_of(model, clip=clip)
        everything = [*model.parameters(), *step.loss.parameters()]
        before = [p.detach().clone() for p in everything]
        taken(step)
        rates = [0.1] * 4 + [0.07]
        each = zip(before, everything, rates, strict=True)
        moves.append([(b - p.detach()).double() / lr for b, p, lr in each])
        norms.append(sum(move.square().sum() for move in moves[-1]).sqrt().item())
    assert norms[1] == pytest.approx(0.01, rel=1e-3)
    factor = 0.01 / (norms[0] + 1e-6)
    for whole, clipped, high in zip(*moves, strict=True):
        torch.testing.assert_close(clipped, whole * factor, rtol=1e-3, atol=1e-6)
        assert torch.equal(whole, high)


def test_the_average_equals_its_formula():
    model = net()
    step = step_of(model, average=ModelEmaV3(model, decay=0.7))
    expected = {k: v.double() for k, v in copy.deepcopy(model.state_dict()).items()}
    for seed in range(5):
        taken(step, seed)
        for name, value in model.state_dict().items():
            expected[name] = 0.7 * expected[name] + 0.3 * value.double()
    assert step.kept is not model
    for name, value in step.kept.state_dict().items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-7)
    assert not torch.equal(step.kept.head.weight, model.head.weight)


def trainer(store, **recipe):
    config = config_with()
    config["recipes"]["digits_8d"] |= recipe
    plan = resolve_config(config, "test")
    return Trainer(copy.deepcopy(plan.spec(plan.run_by_id(RUN))), DATASET, store)


def test_the_average_is_what_is_measured_and_kept(store):
    run = trainer(store, ema=0.9, epochs=1)
    kept = run.train().selections.weights["last"]
    assert all(torch.equal(kept[k], v) for k, v in run.step.average.module.state_dict().items())
    assert not all(torch.equal(kept[k], v) for k, v in run.model.state_dict().items())
    measured = run.images.measure(run.step.average.module)
    assert run.progress.selections.best["val"] == measured["val"]


def test_the_history_has_the_rate_of_each_epoch_where_it_changes(store):
    schedule = {"name": "multistep", "at": [2]}
    run = trainer(store, epochs=3, schedule=schedule, optimizer={"lr": 0.01})
    assert [row["lr"] for row in run.train().history] == pytest.approx([0.01, 0.01, 0.001])
    run = trainer(store, epochs=1, schedule={"name": "cosine", "by": "step"})
    assert run.train().history[0]["lr"] == pytest.approx(0)  # that of the next step
    plain = trainer(store, epochs=1)
    assert "lr" not in plain.train().history[0]


def test_a_backbone_does_not_move_while_the_head_warms_up(store):
    optimizer = {"lr": 0.01, "weight_decay": 0.1}
    run = trainer(store, epochs=2, warmup_head_epochs=1, optimizer=optimizer)
    start = {k: v.clone() for k, v in run.model.state_dict().items()}
    ended = []
    run.train(epoch_ended=lambda history: ended.append(copy.deepcopy(run.model.state_dict())))
    for name, value in start.items():
        assert torch.equal(ended[0][name], value) == name.startswith("backbone.")
        assert not torch.equal(ended[1][name], value)


def test_a_cpu_says_that_it_has_no_tf32(store, caplog):
    trainer(store, precision="tf32")
    assert "precision: tf32 has no effect on a CPU; it trains in float32" in caplog.text


def test_chunks_with_live_batch_norm_are_refused_when_the_network_is_built(store):
    network = {"backbone": "test_resnet", "image_size": 32, "widths": [32, 64]}
    with pytest.raises(ConfigError, match="chunk: batch norm backbone"):
        trainer(store, chunk=20, **network)
    trainer(store, chunk=20, freeze="batch_norm", **network)


@pytest.mark.slow
def test_a_compiled_training_warms_up_in_chunks_and_keeps_the_names(store):
    keys = {"epochs": 2, "warmup_head_epochs": 1, "chunk": 20, "ema": 0.9}
    runs = [trainer(store, compile=compiles, **keys) for compiles in (False, True)]
    plain, compiled = (run.train() for run in runs)
    assert compiled.selections.weights["last"].keys() == plain.selections.weights["last"].keys()
    for one, other in zip(plain.history, compiled.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-2)
